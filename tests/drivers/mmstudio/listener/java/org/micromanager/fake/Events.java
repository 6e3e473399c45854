package org.micromanager.fake;

/** Events as Studio has them: public interfaces, classes of their own that nobody outside can see. */
public final class Events {
    private Events() {}

    public interface StagePositionChangedEvent { String getDeviceName(); double getPos(); }
    public interface XYStagePositionChangedEvent { String getDeviceName(); double getXPos(); double getYPos(); }
    public interface ExposureChangedEvent { String getCameraName(); double getNewExposureTime(); }
    public interface PropertyChangedEvent { String getDevice(); String getProperty(); String getValue(); }
    public interface ConfigGroupChangedEvent { String getGroupName(); String getNewConfig(); }
    public interface LiveModeEvent { boolean isOn(); }
    public interface SystemConfigurationLoadedEvent {}
    public interface ShutdownCommencingEvent { boolean isCanceled(); }
    public interface GUIRefreshEvent {}
    public interface AcquisitionStartedEvent { Data.Datastore getDatastore(); }
    public interface AcquisitionSequenceStartedEvent extends AcquisitionStartedEvent { Data.SequenceSettings getSettings(); }
    public interface AcquisitionEndedEvent { Data.Datastore getStore(); }
    public interface DataProviderHasNewImageEvent { Data.Image getImage(); Data.Coords getCoords(); }
    public interface DatastoreFrozenEvent {}

    public static Object stage(String device, double pos) {
        return new StagePositionChangedEvent() {
            public String getDeviceName() { return device; }
            public double getPos() { return pos; }
        };
    }

    public static Object xy(String device, double x, double y) {
        return new XYStagePositionChangedEvent() {
            public String getDeviceName() { return device; }
            public double getXPos() { return x; }
            public double getYPos() { return y; }
        };
    }

    public static Object raisingXY(String device) {
        return new XYStagePositionChangedEvent() {
            public String getDeviceName() { return device; }
            public double getXPos() { throw new IllegalStateException("the stage is off"); }
            public double getYPos() { throw new StackOverflowError("not even an Exception"); }
        };
    }

    public static Object exposure(String camera, double ms) {
        return new ExposureChangedEvent() {
            public String getCameraName() { return camera; }
            public double getNewExposureTime() { return ms; }
        };
    }

    public static Object property(String device, String property, String value) {
        return new PropertyChangedEvent() {
            public String getDevice() { return device; }
            public String getProperty() { return property; }
            public String getValue() { return value; }
        };
    }

    public static Object config(String group, String preset) {
        return new ConfigGroupChangedEvent() {
            public String getGroupName() { return group; }
            public String getNewConfig() { return preset; }
        };
    }

    public static Object live(boolean isOn) {
        return (LiveModeEvent) () -> isOn;
    }

    public static Object loaded() {
        return new SystemConfigurationLoadedEvent() {};
    }

    public static Object unimportant() {
        return new GUIRefreshEvent() {};
    }

    public static Object started(Data.Datastore store, Data.SequenceSettings settings) {
        return new AcquisitionSequenceStartedEvent() {
            public Data.Datastore getDatastore() { return store; }
            public Data.SequenceSettings getSettings() { return settings; }
        };
    }

    public static Object ended(Data.Datastore store) {
        return (AcquisitionEndedEvent) () -> store;
    }

    public static Object image(Data.Image image, Data.Coords coords) {
        return new DataProviderHasNewImageEvent() {
            public Data.Image getImage() { return image; }
            public Data.Coords getCoords() { return coords; }
        };
    }

    public static Object frozen() {
        return new DatastoreFrozenEvent() {};
    }

    public static final class Shutdown implements ShutdownCommencingEvent {
        public volatile boolean isCanceled;

        public boolean isCanceled() {
            return isCanceled;
        }
    }
}
