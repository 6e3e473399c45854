package scopestamp;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Studio's events as rows of plain values. Kinds are known by the simple names of interfaces, which outlive packages. */
final class EventRows {
    private static final String IMAGE = "getImage.getMetadata.";
    private static final String SUMMARY = "getDatastore.getSummaryMetadata.";
    private static final Kind NONE = new Kind("");
    private static final Map<String, Kind> KINDS = new LinkedHashMap<>();

    static {
        kind("AcquisitionStartedEvent", "acq_started", "path=getDatastore.getSavePath",
                "prefix=" + SUMMARY + "getPrefix", "name=getDatastore.getName");
        kind("AcquisitionEndedEvent", "acq_ended", "path=getStore.getSavePath");
        kind("DataProviderHasNewImageEvent", "image", "coords=getCoords", "number=" + IMAGE + "getImageNumber",
                "elapsed_ms=" + IMAGE + "getElapsedTimeMs", "exposure_ms=" + IMAGE + "getExposureMs",
                "x_um=" + IMAGE + "getXPositionUm", "y_um=" + IMAGE + "getYPositionUm",
                "z_um=" + IMAGE + "getZPositionUm", "camera=" + IMAGE + "getCamera",
                "position_name=" + IMAGE + "getPositionName", "received=" + IMAGE + "getReceivedTime");
        kind("DatastoreFrozenEvent", "datastore_frozen");
        kind("StagePositionChangedEvent", "stage", "device=getDeviceName", "position_um=getPos");
        kind("XYStagePositionChangedEvent", "xy", "device=getDeviceName", "x_um=getXPos", "y_um=getYPos");
        kind("ExposureChangedEvent", "exposure", "camera=getCameraName", "exposure_ms=getNewExposureTime");
        kind("PropertyChangedEvent", "property", "device=getDevice", "property=getProperty", "value=getValue");
        kind("ConfigGroupChangedEvent", "config", "group=getGroupName", "preset=getNewConfig");
        kind("ShutterOpenChangedEvent", "shutter", "device=getDeviceName", "is_open=isShutterOpened");
        kind("AutoShutterEvent", "autoshutter", "is_on=getAutoShutter");
        kind("PixelSizeChangedEvent", "pixel_size", "pixel_size_um=getNewPixelSizeUm");
        kind("PropertiesChangedEvent", "properties_changed");
        kind("SystemConfigurationLoadedEvent", "configuration_loaded");
        kind("LiveModeEvent", "live", "is_on=isOn|getIsOn");
        kind("ShutdownCommencingEvent", "shutdown_commencing");
    }

    private static final String[] SUMMARY_ENTRIES = {
        "computer=getComputerName", "user=getUserName", "version=getMicroManagerVersion", "width_px=getImageWidth",
        "height_px=getImageHeight", "z_step_um=getZStepUm", "channels=getChannelNameList", "axes=getOrderedAxes",
        "dimensions=getIntendedDimensions", "start=getStartDate",
    };

    private static final Map<Class<?>, Kind> KNOWN = new ConcurrentHashMap<>();

    private EventRows() {}

    private static final class Kind {
        final String name;
        final String[] entries;

        Kind(String name, String... entries) {
            this.name = name;
            this.entries = entries;
        }
    }

    private static void kind(String type, String name, String... entries) {
        KINDS.put(type, new Kind(name, entries));
    }

    /** Returns what kind of event this is; "" for one that does not matter here. */
    static String kindOf(Object event) {
        return known(event.getClass()).name;
    }

    /** Returns an event as a row. */
    static Map<String, Object> row(Object event) {
        Map<String, Object> row = new LinkedHashMap<>();
        Kind kind = known(event.getClass());
        row.put("event", kind.name);
        fill(row, event, kind.entries);
        return row;
    }

    /** Returns the plain entries of the summary metadata of a starting acquisition. */
    static Map<String, Object> summary(Object startedEvent) throws Exception {
        Map<String, Object> row = new LinkedHashMap<>();
        Object summary = Reflected.follow(startedEvent, "getDatastore.getSummaryMetadata");
        if (summary != null) {
            fill(row, summary, SUMMARY_ENTRIES);
        }
        return row;
    }

    /** Returns an acquisition's settings in Studio's own JSON, or null. */
    static Object settings(Object startedEvent) throws Exception {
        Object settings = Reflected.call(startedEvent, "getSettings");
        return settings == null ? null : Reflected.callStatic(settings.getClass(), "toJSONStream", settings);
    }

    private static void fill(Map<String, Object> row, Object source, String[] entries) {
        Map<String, Object> errors = new LinkedHashMap<>();
        for (String entry : entries) {
            String[] keyAndPath = entry.split("=");
            try {
                put(row, keyAndPath[0], Reflected.follow(source, keyAndPath[1]));
            } catch (Reflected.Missing otherVersion) {
                continue;
            } catch (Exception error) {
                errors.put(keyAndPath[0], String.valueOf(error));
            }
        }
        if (!errors.isEmpty()) {
            row.put("errors", errors);
        }
    }

    private static void put(Map<String, Object> row, String key, Object value) throws Exception {
        if (value == null || isNotFinite(value)) {
            return; // not given
        }
        if (value instanceof Iterable) {
            List<Object> copy = new ArrayList<>();
            ((Iterable<?>) value).forEach(copy::add);
            row.put(key, copy);
        } else if (key.equals("coords") || key.equals("dimensions")) {
            row.put(key, indices(value));
        } else {
            row.put(key, value instanceof Number || value instanceof Boolean ? value : String.valueOf(value));
        }
    }

    private static boolean isNotFinite(Object value) {
        return value instanceof Double && (((Double) value).isNaN() || ((Double) value).isInfinite());
    }

    private static Map<String, Object> indices(Object coords) throws Exception {
        Map<String, Object> indices = new LinkedHashMap<>();
        for (Object axis : (Iterable<?>) Reflected.call(coords, "getAxes")) {
            indices.put(String.valueOf(axis), Reflected.call(coords, "getIndex", axis));
        }
        return indices;
    }

    private static Kind known(Class<?> type) {
        return KNOWN.computeIfAbsent(type, EventRows::look);
    }

    private static Kind look(Class<?> type) {
        Kind kind = KINDS.getOrDefault(type.getSimpleName(), NONE);
        for (Class<?> parent : type.getInterfaces()) {
            kind = kind == NONE ? look(parent) : kind;
        }
        return kind != NONE || type.getSuperclass() == null ? kind : look(type.getSuperclass());
    }
}
