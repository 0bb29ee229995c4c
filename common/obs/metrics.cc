#include "common/obs/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <sstream>

#include "common/obs/log.h"

namespace crm::obs {
namespace metrics_internal {

struct State {
  prometheus::Registry registry;
  std::mutex mutex;
  std::vector<std::function<void()>> updates;
};

State& TheState() {
  static State* state = new State;  // handles may be used until the very end
  return *state;
}

// The process itself: memory and descriptors, as every Prometheus client names them.
void UpdateProcess() {
  static const Gauge memory = MakeGauge("process_resident_memory_bytes", "Resident memory");
  static const Gauge dropped = MakeGauge("crm_log_lines_dropped", "Log lines dropped since the start");
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  if (statm >> size >> resident) memory.Set(static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  dropped.Set(static_cast<double>(DroppedLines()));
}

}  // namespace metrics_internal

void Counter::Add(double n) const { static_cast<prometheus::Counter*>(metric_)->Increment(n); }
double Counter::value() const { return static_cast<prometheus::Counter*>(metric_)->Value(); }
void Gauge::Set(double value) const { static_cast<prometheus::Gauge*>(metric_)->Set(value); }
void Gauge::Add(double n) const { static_cast<prometheus::Gauge*>(metric_)->Increment(n); }
double Gauge::value() const { return static_cast<prometheus::Gauge*>(metric_)->Value(); }
void Histogram::Observe(double value) const { static_cast<prometheus::Histogram*>(metric_)->Observe(value); }

Counter MakeCounter(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(metrics_internal::TheState().registry);
  return Counter(&family.Add(labels));
}

Gauge MakeGauge(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(metrics_internal::TheState().registry);
  return Gauge(&family.Add(labels));
}

Histogram MakeHistogram(const std::string& name, const std::string& help, const Labels& labels,
                        const std::vector<double>& bounds) {
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(metrics_internal::TheState().registry);
  return Histogram(&family.Add(labels, bounds));
}

void BeforeExposition(std::function<void()> update) {
  auto& state = metrics_internal::TheState();
  std::lock_guard lock(state.mutex);
  state.updates.push_back(std::move(update));
}

std::string Exposition() {
  auto& state = metrics_internal::TheState();
  metrics_internal::UpdateProcess();
  {
    std::lock_guard lock(state.mutex);
    for (const auto& update : state.updates) update();
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, state.registry.Collect());
  return out.str();
}

}  // namespace crm::obs
