package org.micromanager.fake;

import com.google.common.eventbus.AsyncEventBus;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A datastore with an event bus of its own, on a thread of its own, as Studio's have. */
public final class Data {
    private Data() {}

    public static final class Coords {
        private final List<String> axes = new ArrayList<>();
        private final List<Integer> indices = new ArrayList<>();

        public Coords with(String axis, int index) {
            axes.add(axis);
            indices.add(index);
            return this;
        }

        public List<String> getAxes() { return axes; }
        public int getIndex(String axis) { return indices.get(axes.indexOf(axis)); }
    }

    public static final class Metadata {
        private final Double z;
        private final double elapsed;

        public Metadata(Double z, double elapsed) {
            this.z = z;
            this.elapsed = elapsed;
        }

        public Long getImageNumber() { return null; }
        public Double getElapsedTimeMs() { return elapsed; }
        public double getElapsedTimeMs(double otherwise) { return elapsed; }
        public Double getExposureMs() { return 10.0; }
        public Double getXPositionUm() { return Double.NaN; }
        public Double getYPositionUm() { return null; }
        public Double getZPositionUm() { return z; }
        public String getCamera() { return "Camera"; }
    }

    public static final class Image {
        private final Metadata metadata;

        public Image(Metadata metadata) { this.metadata = metadata; }
        public Metadata getMetadata() { return metadata; }
    }

    public static final class SummaryMetadata {
        public String getPrefix() { return "tap_1"; }
        public String getUserName() { return "用户"; }
        public Integer getImageWidth() { return 512; }
        public List<String> getChannelNameList() { return Arrays.asList("DAPI", "FITC"); }
        public Coords getIntendedDimensions() { return new Coords().with("time", 20).with("channel", 2); }
        public String getComputerName() { throw new IllegalStateException("no network"); }
    }

    public static final class SequenceSettings {
        public static String toJSONStream(SequenceSettings settings) { return "{\"numFrames\": 20}"; }
    }

    public static final class Datastore {
        private final ExecutorService pool = Executors.newSingleThreadExecutor(
                work -> new Thread(work, "PrioritizedEventBus Pool Thread 0"));
        private final AsyncEventBus bus = new AsyncEventBus(pool);
        public volatile int nListeners;
        public volatile boolean refusesListeners;

        public String getSavePath() { return "D:/data/tap_1"; }
        public String getName() { return null; }
        public int getNumImages() { return 20; }
        public SummaryMetadata getSummaryMetadata() { return new SummaryMetadata(); }

        public void registerForEvents(Object listener) {
            if (refusesListeners) {
                throw new UnsupportedOperationException("closed");
            }
            bus.register(listener);
            nListeners++;
        }

        public void unregisterForEvents(Object listener) {
            bus.unregister(listener);
            nListeners--;
        }

        public void post(Object event) { bus.post(event); }

        public void finish() throws InterruptedException {
            pool.shutdown();
            pool.awaitTermination(60, java.util.concurrent.TimeUnit.SECONDS);
        }
    }
}
