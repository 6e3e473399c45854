package scopestamp;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/** Rows waiting to be fetched; bounded, numbered, and what finds no room is counted. */
final class RowQueue {
    private static final int RESERVE = 256; // room of their own for the few rows that begin and end something
    private final int capacity;
    private final Deque<Map<String, Object>> rows = new ArrayDeque<>();
    private long lastSeq;
    private long dropped;

    RowQueue(int capacity) {
        this.capacity = capacity;
    }

    synchronized void put(Map<String, Object> row, boolean isBoundary) {
        row.put("seq", ++lastSeq);
        if (rows.size() < capacity + (isBoundary ? RESERVE : 0)) {
            rows.add(row);
        } else {
            dropped++;
        }
    }

    synchronized List<Map<String, Object>> take(int max) {
        List<Map<String, Object>> taken = new ArrayList<>();
        while (taken.size() < max && !rows.isEmpty()) {
            taken.add(rows.poll());
        }
        return taken;
    }

    synchronized void clear() {
        dropped += rows.size();
        rows.clear();
    }

    synchronized int size() {
        return rows.size();
    }

    synchronized long dropped() {
        return dropped;
    }
}
