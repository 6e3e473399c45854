package scopestamp;

import com.google.common.eventbus.AllowConcurrentEvents;
import com.google.common.eventbus.Subscribe;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * Hears Studio's event bus and the datastores of its acquisitions, and queues rows.
 *
 * It subscribes to the type of all events and looks at their names, so that it needs no class of Micro-Manager. The
 * handlers run on Studio's own threads: they read getters and queue, and whatever they meet stays here.
 */
public final class StudioTap {
    private static final long UNHEARD_NANO = 600_000_000_000L;
    private static final int N_DATASTORES = 32;
    private final Object studio;
    private final RowQueue queue;
    private final CoreGate gate;
    private final LongSupplier nanoClock;
    private final Deque<DatastoreTap> datastores = new ArrayDeque<>();
    private final AtomicLong failed = new AtomicLong();
    private volatile long drainedNano;
    private volatile boolean isOn;
    private int nAcquisitions;

    StudioTap(Object studio, RowQueue queue, CoreGate gate, LongSupplier nanoClock) {
        this.studio = studio;
        this.queue = queue;
        this.gate = gate;
        this.nanoClock = nanoClock;
    }

    synchronized void on() throws Exception {
        drainedNano = nanoClock.getAsLong();
        if (!isOn) {
            Reflected.call(Reflected.call(studio, "events"), "registerForEvents", this);
            isOn = true;
        }
    }

    synchronized void off() {
        if (!isOn) {
            return;
        }
        isOn = false;
        try {
            Reflected.call(Reflected.call(studio, "events"), "unregisterForEvents", this);
        } catch (Exception studioIsGone) {
            failed.incrementAndGet();
        }
        datastores.forEach(DatastoreTap::unregister);
        datastores.clear();
        queue.clear();
    }

    boolean isOn() {
        return isOn;
    }

    long failed() {
        return failed.get();
    }

    void drained() {
        drainedNano = nanoClock.getAsLong();
    }

    @Subscribe
    @AllowConcurrentEvents
    public void hear(Object event) {
        shielded(() -> {
            switch (EventRows.kindOf(event)) {
                case "":
                    return;
                case "acq_started":
                    gate.reopen();
                    started(event);
                    return;
                case "acq_ended":
                    Map<String, Object> ended = EventRows.row(event);
                    put(ended, tapOf(Reflected.call(event, "getStore|getDatastore")), true);
                    return;
                case "shutdown_commencing":
                    shutdown(event);
                    return;
                case "live":
                    live(event);
                    return;
                default:
                    put(EventRows.row(event), null, false);
            }
        });
    }

    void hearDatastore(DatastoreTap tap, Object event) {
        shielded(() -> {
            String kind = EventRows.kindOf(event);
            if (kind.equals("image")) {
                put(EventRows.row(event), tap, false);
            } else if (kind.equals("datastore_frozen")) {
                frozen(tap, event);
            }
        });
    }

    private void started(Object event) throws Exception {
        Map<String, Object> row = EventRows.row(event);
        add(row, "settings", () -> EventRows.settings(event));
        add(row, "summary", () -> EventRows.summary(event));
        Object datastore = Reflected.call(event, "getDatastore");
        DatastoreTap tap = datastore == null ? null : follow(datastore);
        put(row, tap, true);
        if (tap != null) {
            tap.register(); // after the row: no image comes before its start
        }
    }

    private void live(Object event) {
        Map<String, Object> row = EventRows.row(event);
        if (Boolean.TRUE.equals(row.get("is_on"))) {
            gate.reopen(); // a Studio that closes turns live view off, never on
        }
        put(row, null, false);
    }

    private void shutdown(Object event) {
        try {
            put(EventRows.row(event), null, true);
        } finally {
            gate.shut(event);
        }
    }

    private void frozen(DatastoreTap tap, Object event) throws Exception {
        Map<String, Object> row = EventRows.row(event);
        add(row, "path", () -> tap.get("getSavePath"));
        add(row, "n_images", () -> tap.get("getNumImages"));
        put(row, tap, true);
        tap.unregister();
    }

    private synchronized DatastoreTap follow(Object datastore) {
        DatastoreTap tap = new DatastoreTap(this, datastore, ++nAcquisitions);
        datastores.add(tap);
        if (datastores.size() > N_DATASTORES) {
            datastores.poll().unregister();
        }
        return tap;
    }

    private synchronized DatastoreTap tapOf(Object datastore) {
        for (DatastoreTap tap : datastores) {
            if (tap.isOf(datastore)) {
                return tap;
            }
        }
        return null;
    }

    private void put(Map<String, Object> row, DatastoreTap tap, boolean isBoundary) {
        if (tap != null) {
            row.put("acquisition", tap.acquisition);
        }
        row.put("wall_ms", System.currentTimeMillis());
        row.put("nano", System.nanoTime());
        row.put("thread", Thread.currentThread().getName());
        queue.put(row, isBoundary);
    }

    private interface Work {
        void run() throws Exception;
    }

    private interface Reading {
        Object get() throws Exception;
    }

    /** Puts a value into a row; what its getter throws goes under "errors", and what Studio does not have, nowhere. */
    private static void add(Map<String, Object> row, String key, Reading reading) {
        try {
            Object value = reading.get();
            if (value != null) {
                row.put(key, value);
            }
        } catch (Reflected.Missing otherVersion) {
            return;
        } catch (Exception error) {
            @SuppressWarnings("unchecked")
            Map<String, Object> errors =
                    (Map<String, Object>) row.computeIfAbsent("errors", unused -> new LinkedHashMap<>());
            errors.put(key, String.valueOf(error));
        }
    }

    /** Whatever is thrown here would reach Studio's own code. */
    private void shielded(Work work) {
        try {
            if (nanoClock.getAsLong() - drainedNano > UNHEARD_NANO) {
                off(); // whoever asked for this is gone, and could not say so
            } else {
                work.run();
            }
        } catch (Throwable error) {
            failed.incrementAndGet();
        }
    }
}
