package scopestamp;

import java.util.Arrays;
import java.util.Map;

/** Writes maps, lists and plain values as JSON in pure ASCII: the bridge would turn any other character into '?'. */
final class Json {
    private Json() {}

    static String write(Object value) {
        StringBuilder text = new StringBuilder();
        write(value, text);
        return text.toString();
    }

    private static void write(Object value, StringBuilder text) {
        if (value instanceof Map) {
            writeMap((Map<?, ?>) value, text);
        } else if (value instanceof Iterable) {
            writeList((Iterable<?>) value, text);
        } else if (value instanceof Object[]) {
            writeList(Arrays.asList((Object[]) value), text);
        } else if (value == null || value instanceof Boolean || isFinite(value)) {
            text.append(value);
        } else if (value instanceof Number) {
            text.append("null"); // JSON has no NaN and no infinity
        } else {
            writeText(String.valueOf(value), text);
        }
    }

    private static boolean isFinite(Object value) {
        if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            return !Double.isNaN(number) && !Double.isInfinite(number);
        }
        return value instanceof Number;
    }

    private static void writeMap(Map<?, ?> map, StringBuilder text) {
        char before = '{';
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            text.append(before);
            writeText(String.valueOf(entry.getKey()), text);
            text.append(':');
            write(entry.getValue(), text);
            before = ',';
        }
        text.append(before == '{' ? "{}" : "}");
    }

    private static void writeList(Iterable<?> list, StringBuilder text) {
        char before = '[';
        for (Object item : list) {
            text.append(before);
            write(item, text);
            before = ',';
        }
        text.append(before == '[' ? "[]" : "]");
    }

    private static void writeText(String value, StringBuilder text) {
        text.append('"');
        for (int i = 0; i < value.length(); i++) {
            char character = value.charAt(i);
            if (character == '"' || character == '\\') {
                text.append('\\').append(character);
            } else if (character < ' ' || character > '~') {
                text.append(String.format("\\u%04x", (int) character));
            } else {
                text.append(character);
            }
        }
        text.append('"');
    }
}
