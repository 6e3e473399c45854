package scopestamp;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the core, each call inside the gate. Nothing here sets anything, and no callback is registered. */
final class CoreReader {
    private final Object studio;
    private final CoreGate gate;

    CoreReader(Object studio, CoreGate gate) {
        this.studio = studio;
        this.gate = gate;
    }

    /** Fills in the whole cached state: only calls that were seen not to wait for an exposure. */
    void state(Map<String, Object> answer) throws Exception {
        gate.inside(() -> {
            Object core = core();
            answer.put("properties", properties(core));
            answer.put("presets", presets(core));
            answer.put("core", roles(core));
            return null;
        });
        answer.put("studio", studioState());
    }

    /** Fills in what is loaded; may wait for devices, for one at a time inside the gate. */
    void describe(Map<String, Object> answer) throws Exception {
        List<Object> labels = new ArrayList<>();
        gate.inside(() -> {
            Object core = core();
            answer.put("version", Reflected.call(core, "getVersionInfo"));
            answer.put("api", Reflected.call(core, "getAPIVersionInfo"));
            labels.addAll(texts(Reflected.call(core, "getLoadedDevices")));
            answer.put("presets", presetContents(core));
            answer.put("pixel_sizes_um", pixelSizes(core));
            return null;
        });
        answer.put("studio", studioSays("compat.getVersion"));
        answer.put("configuration_file", studioSays("getSysConfigFile"));
        List<Object> devices = new ArrayList<>();
        answer.put("devices", devices);
        for (Object label : labels) {
            devices.add(gate.inside(() -> device(core(), (String) label)));
        }
    }

    /** Fills in one value, from the hardware. */
    void read(String device, String property, Map<String, Object> answer) throws Exception {
        answer.put("value", gate.inside(() -> hardware(core(), device, property)));
    }

    /** Returns what Studio itself says, without its core. */
    Map<String, Object> studioState() {
        Map<String, Object> state = new LinkedHashMap<>();
        state.put("acquiring", studioSays("acquisitions.isAcquisitionRunning"));
        state.put("paused", studioSays("acquisitions.isPaused"));
        state.put("live", studioSays("live.isLiveModeOn|getIsLiveModeOn"));
        state.put("x_um", studioSays("cache.getStageX"));
        state.put("y_um", studioSays("cache.getStageY"));
        state.put("z_um", studioSays("cache.getStageZ"));
        state.put("pixel_size_um", studioSays("cache.getPixelSizeUm"));
        return state;
    }

    /** Returns what Studio answers; null where this version of it cannot say. */
    Object studioSays(String path) {
        try {
            return Reflected.follow(studio, path);
        } catch (Exception unknown) {
            return null;
        }
    }

    private Object core() throws Exception {
        Object core = Reflected.call(studio, "core|getCMMCore");
        if (core == null) {
            throw new CoreGate.Closing();
        }
        return core;
    }

    private static Map<String, Object> properties(Object core) throws Exception {
        Map<String, Object> devices = new LinkedHashMap<>();
        for (String[] setting : settings(Reflected.call(core, "getSystemStateCache"))) {
            @SuppressWarnings("unchecked")
            Map<String, Object> device =
                    (Map<String, Object>) devices.computeIfAbsent(setting[0], label -> new LinkedHashMap<>());
            device.put(setting[1], setting[2]);
        }
        return devices;
    }

    /** Returns a configuration's settings and frees it: a finalizer would do it at some time, or after the core. */
    private static List<String[]> settings(Object configuration) throws Exception {
        List<String[]> settings = new ArrayList<>();
        try {
            long size = ((Number) Reflected.call(configuration, "size")).longValue();
            for (long i = 0; i < size; i++) {
                Object setting = Reflected.call(configuration, "getSetting", i);
                settings.add(new String[] {
                    (String) Reflected.call(setting, "getDeviceLabel"),
                    (String) Reflected.call(setting, "getPropertyName"),
                    (String) Reflected.call(setting, "getPropertyValue"),
                });
                free(setting);
            }
        } finally {
            free(configuration);
        }
        return settings;
    }

    private static void free(Object wrapper) throws Exception {
        try {
            Reflected.call(wrapper, "delete");
        } catch (Reflected.Missing plainJavaObject) {
            return;
        }
    }

    private static Map<String, Object> presets(Object core) throws Exception {
        Map<String, Object> presets = new LinkedHashMap<>();
        for (Object group : texts(Reflected.call(core, "getAvailableConfigGroups"))) {
            presets.put((String) group, Reflected.call(core, "getCurrentConfigFromCache", group));
        }
        return presets;
    }

    private static Map<String, Object> roles(Object core) throws Exception {
        Map<String, Object> roles = new LinkedHashMap<>();
        roles.put("camera", Reflected.call(core, "getCameraDevice"));
        roles.put("xy_stage", Reflected.call(core, "getXYStageDevice"));
        roles.put("focus", Reflected.call(core, "getFocusDevice"));
        roles.put("shutter", Reflected.call(core, "getShutterDevice"));
        roles.put("auto_shutter", Reflected.call(core, "getAutoShutter"));
        roles.put("remaining_images", Reflected.call(core, "getRemainingImageCount"));
        return roles;
    }

    private static List<Object> presetContents(Object core) throws Exception {
        List<Object> contents = new ArrayList<>();
        for (Object group : texts(Reflected.call(core, "getAvailableConfigGroups"))) {
            for (Object name : texts(Reflected.call(core, "getAvailableConfigs", group))) {
                Map<String, Object> preset = new LinkedHashMap<>();
                preset.put("group", group);
                preset.put("name", name);
                preset.put("settings", settings(Reflected.call(core, "getConfigData", group, name)));
                contents.add(preset);
            }
        }
        return contents;
    }

    private static Map<String, Object> pixelSizes(Object core) throws Exception {
        Map<String, Object> sizes = new LinkedHashMap<>();
        for (Object name : texts(Reflected.call(core, "getAvailablePixelSizeConfigs"))) {
            sizes.put((String) name, Reflected.call(core, "getPixelSizeUmByID", name));
        }
        return sizes;
    }

    private static Map<String, Object> device(Object core, String label) {
        Map<String, Object> device = new LinkedHashMap<>();
        device.put("label", label);
        try {
            device.put("type", String.valueOf(Reflected.call(core, "getDeviceType", label)));
            device.put("library", Reflected.call(core, "getDeviceLibrary", label));
            device.put("name", Reflected.call(core, "getDeviceName", label));
            device.put("description", Reflected.call(core, "getDeviceDescription", label));
            device.put("parent", Reflected.call(core, "getParentLabel", label));
            boolean hasStates = "StateDevice".equals(device.get("type"));
            device.put("state_labels", hasStates ? texts(Reflected.call(core, "getStateLabels", label)) : Arrays.asList());
            List<Object> properties = new ArrayList<>();
            device.put("properties", properties);
            for (Object name : texts(Reflected.call(core, "getDevicePropertyNames", label))) {
                properties.add(property(core, label, (String) name));
            }
        } catch (Exception error) {
            device.put("error", String.valueOf(error));
        }
        return device;
    }

    private static Map<String, Object> property(Object core, String label, String name) throws Exception {
        Map<String, Object> property = new LinkedHashMap<>();
        property.put("name", name);
        property.put("type", String.valueOf(Reflected.call(core, "getPropertyType", label, name)));
        property.put("is_read_only", Reflected.call(core, "isPropertyReadOnly", label, name));
        property.put("is_pre_init", Reflected.call(core, "isPropertyPreInit", label, name));
        property.put("is_sequenceable", Reflected.call(core, "isPropertySequenceable", label, name));
        if (Boolean.TRUE.equals(Reflected.call(core, "hasPropertyLimits", label, name))) {
            property.put("lower", Reflected.call(core, "getPropertyLowerLimit", label, name));
            property.put("upper", Reflected.call(core, "getPropertyUpperLimit", label, name));
        }
        property.put("allowed", texts(Reflected.call(core, "getAllowedPropertyValues", label, name)));
        return property;
    }

    private static Object hardware(Object core, String device, String property) throws Exception {
        switch (property) {
            case "@position":
                return Reflected.call(core, "getPosition", device);
            case "@x":
                return Reflected.call(Reflected.call(core, "getXYStagePosition", device), "getX");
            case "@y":
                return Reflected.call(Reflected.call(core, "getXYStagePosition", device), "getY");
            case "@exposure":
                return Reflected.call(core, "getExposure", device);
            case "@pixel_size":
                return Reflected.call(core, "getPixelSizeUm");
            case "@roi":
                return roi(Reflected.call(core, "getROI", device));
            default:
                return property.startsWith("@preset ")
                        ? Reflected.call(core, "getCurrentConfig", property.substring("@preset ".length()))
                        : Reflected.call(core, "getProperty", device, property);
        }
    }

    private static String roi(Object rectangle) throws Exception {
        StringBuilder text = new StringBuilder();
        for (String side : new String[] {"x", "y", "width", "height"}) {
            text.append(text.length() == 0 ? "" : " ").append(side).append('=');
            text.append(rectangle.getClass().getField(side).get(rectangle));
        }
        return text.toString();
    }

    /** Returns a vector of the core's as a list of our own. */
    private static List<Object> texts(Object vector) {
        List<Object> texts = new ArrayList<>();
        ((Iterable<?>) vector).forEach(texts::add);
        return texts;
    }
}
