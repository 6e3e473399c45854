package scopestamp;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * What is called over the bridge; EVENTS.md says what each answer holds.
 *
 * Every answer is one text, and nothing throws: an exception would be printed to Studio's output by the bridge.
 */
public final class StudioListener {
    private static final int CAPACITY = 10_000;
    private final CoreGate gate = new CoreGate();
    private final RowQueue queue;
    private final LongSupplier nanoClock;
    private volatile StudioTap tap;
    private volatile CoreReader reader;

    public StudioListener() {
        this(CAPACITY, System::nanoTime);
    }

    StudioListener(int capacity, LongSupplier nanoClock) {
        this.queue = new RowQueue(capacity);
        this.nanoClock = nanoClock;
    }

    /** Begins to hear a Studio. */
    public synchronized String attach(Object studio) {
        return answer(answer -> {
            if (tap == null) {
                tap = new StudioTap(studio, queue, gate, nanoClock);
                reader = new CoreReader(studio, gate);
            }
            tap.on();
        });
    }

    /** Returns the oldest events, at most `max`, and forgets them. */
    public String drain(int max) {
        return answer(answer -> {
            attached();
            answer.put("closing", gate.isClosing());
            answer.put("acquiring", gate.isClosing() ? null : reader.studioSays("acquisitions.isAcquisitionRunning"));
            answer.put("live", gate.isClosing() ? null : reader.studioSays("live.isLiveModeOn|getIsLiveModeOn"));
            answer.put("events", queue.take(max));
            answer.put("dropped", queue.dropped());
            answer.put("failed", tap.failed());
            answer.put("queued", queue.size());
        });
    }

    /** Returns the cached state. */
    public String state() {
        return answer(answer -> attached().state(answer));
    }

    /** Returns what is loaded. */
    public String describe() {
        return answer(answer -> attached().describe(answer));
    }

    /** Returns one value from the hardware. */
    public String read(String device, String property) {
        return answer(answer -> attached().read(device, property, answer));
    }

    /** Hears nothing more. */
    public synchronized String close() {
        return answer(answer -> {
            if (tap != null) {
                tap.off();
            }
        });
    }

    private CoreReader attached() throws Exception {
        if (tap == null || !tap.isOn()) {
            throw new IllegalStateException("not attached");
        }
        tap.drained();
        return reader;
    }

    private interface Filling {
        void fill(Map<String, Object> answer) throws Exception;
    }

    private String answer(Filling filling) {
        Map<String, Object> answer = new LinkedHashMap<>();
        long begin = System.nanoTime();
        answer.put("listener", 1);
        try {
            filling.fill(answer);
        } catch (CoreGate.Closing closing) {
            answer.put("error", "closing");
        } catch (Throwable error) {
            answer.put("error", String.valueOf(error));
        }
        long end = System.nanoTime();
        answer.put("attached", tap != null && tap.isOn());
        answer.put("wall_ms", System.currentTimeMillis());
        answer.put("nano", end);
        answer.put("took_ms", (end - begin) / 1e6);
        try {
            return Json.write(answer);
        } catch (RuntimeException error) {
            return Json.write(Collections.singletonMap("error", String.valueOf(error)));
        }
    }
}
