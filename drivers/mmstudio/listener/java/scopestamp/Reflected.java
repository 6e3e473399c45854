package scopestamp;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** Calls methods by name, so that neither Micro-Manager nor its core is needed to build this. */
final class Reflected {
    private static final Map<String, Optional<Method>> FOUND = new ConcurrentHashMap<>();
    private static final Map<Class<?>, Class<?>> BOXES = new ConcurrentHashMap<>();

    static {
        BOXES.put(int.class, Integer.class);
        BOXES.put(long.class, Long.class);
        BOXES.put(double.class, Double.class);
        BOXES.put(boolean.class, Boolean.class);
    }

    private Reflected() {}

    /** Studio of another version has no such method. */
    static final class Missing extends Exception {
        private static final long serialVersionUID = 1;

        Missing(String message) {
            super(message);
        }
    }

    /** Returns what a method returns; `names` may hold several, "isOn|getIsOn": the first there is. */
    static Object call(Object target, String names, Object... arguments) throws Exception {
        for (String name : names.split("\\|")) {
            Method method = find(target.getClass(), name, arguments);
            if (method != null) {
                return invoke(method, target, arguments);
            }
        }
        throw new Missing(target.getClass().getName() + " has no " + names);
    }

    /** Returns what a static method of an object's class returns. */
    static Object callStatic(Class<?> owner, String name, Object... arguments) throws Exception {
        Method method = find(owner, name, arguments);
        if (method == null || !Modifier.isStatic(method.getModifiers())) {
            throw new Missing(owner.getName() + " has no static " + name);
        }
        return invoke(method, null, arguments);
    }

    /** Follows "getImage.getMetadata.getCamera"; null where any step gives null. */
    static Object follow(Object start, String path) throws Exception {
        Object here = start;
        for (String step : path.split("\\.")) {
            if (here == null) {
                return null;
            }
            here = call(here, step);
        }
        return here;
    }

    private static Object invoke(Method method, Object target, Object[] arguments) throws Exception {
        try {
            return method.invoke(target, arguments);
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause();
            throw cause instanceof Exception ? (Exception) cause : new Exception(String.valueOf(cause), cause);
        }
    }

    private static Method find(Class<?> type, String name, Object[] arguments) {
        String key = System.identityHashCode(type) + type.getName() + '.' + name + '/' + arguments.length;
        return FOUND.computeIfAbsent(key, unused -> look(type, name, arguments)).orElse(null);
    }

    private static Optional<Method> look(Class<?> type, String name, Object[] arguments) {
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name) && !method.isBridge() && accepts(method.getParameterTypes(), arguments)) {
                if (!Modifier.isPublic(method.getDeclaringClass().getModifiers())) {
                    method.setAccessible(true); // a public method of one of Studio's internal classes
                }
                return Optional.of(method);
            }
        }
        return Optional.empty();
    }

    private static boolean accepts(Class<?>[] parameters, Object[] arguments) {
        if (parameters.length != arguments.length) {
            return false;
        }
        for (int i = 0; i < parameters.length; i++) {
            Class<?> parameter = BOXES.getOrDefault(parameters[i], parameters[i]);
            if (arguments[i] != null && !parameter.isInstance(arguments[i])) {
                return false;
            }
        }
        return true;
    }
}
