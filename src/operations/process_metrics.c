/* The names of process_* are those that every exporter of Prometheus uses. */
#include "operations/process_metrics.h"

#include "os/log.h"
#include "os/process_stats.h"

/* One that the system does not tell is left out. */
static void process_metrics_gauge(st_exposition *e, const char *name, const char *help,
                                  int64_t value) {
  if (value >= 0) st_exposition_one(e, name, ST_METRIC_GAUGE, help, value);
}

static void process_metrics_double(st_exposition *e, const char *name, st_metric_type type,
                                   const char *help, double value) {
  if (value < 0) return;
  st_exposition_family(e, name, type, help);
  st_exposition_begin(e, "");
  st_exposition_double(e, value);
}

static void process_metrics_write_process(st_exposition *e) {
  st_process_stats stats;
  st_process_stats_read(&stats);
  process_metrics_double(e, "process_cpu_seconds", ST_METRIC_COUNTER,
                         "Time of processors, user and system.", stats.cpu_seconds);
  process_metrics_double(e, "process_start_time_seconds", ST_METRIC_GAUGE,
                         "When the process started, in seconds since 1970.", stats.started);
  process_metrics_gauge(e, "process_resident_memory_bytes", "Memory that is in use.",
                        stats.resident_bytes);
  process_metrics_gauge(e, "process_virtual_memory_bytes", "Address space that is in use.",
                        stats.virtual_bytes);
  process_metrics_gauge(e, "process_virtual_memory_max_bytes", "The limit of address space.",
                        stats.virtual_max_bytes);
  process_metrics_gauge(e, "process_open_fds", "File descriptors that are open.", stats.open_files);
  process_metrics_gauge(e, "process_max_fds", "The limit of file descriptors.", stats.max_files);
  process_metrics_gauge(e, "process_threads", "Threads of the system.", stats.threads);
}

static void process_metrics_write_log(st_exposition *e) {
  st_log_count counts[ST_LOG_EVENTS_MAX];
  int64_t lost;
  size_t count = st_log_counts(counts, &lost);
  if (count > 0) {
    st_exposition_family(e, "subtoken_log_events", ST_METRIC_COUNTER,
                         "Events of the log but for requests, by name.");
  }
  for (size_t i = 0; i < count; i++) {
    st_exposition_begin(e, "");
    st_exposition_label(e, "event", counts[i].event);
    st_exposition_int(e, counts[i].count);
  }
  st_exposition_one(e, "subtoken_log_lines_lost", ST_METRIC_COUNTER,
                    "Lines that could not be written to the log.", lost);
}

void st_process_metrics_write(st_exposition *e) {
  st_exposition_family(e, "subtoken_build", ST_METRIC_INFO, "Which subtoken this is.");
  st_exposition_begin(e, "");
  st_exposition_label(e, "version", SUBTOKEN_VERSION);
  st_exposition_int(e, 1);
  process_metrics_write_process(e);
  process_metrics_write_log(e);
}
