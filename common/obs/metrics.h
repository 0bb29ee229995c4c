// Counters, gauges and histograms for Prometheus. Make a handle once (at start, or as a member) and use it from any
// thread; the same name and labels give the same metric. Names carry their unit: crm_outbox_age_seconds. Never label by
// tenant, user or record: such labels have no bound.
//
//   obs::Counter dropped_ = obs::MakeCounter("crm_events_dropped_total", "Events seen before", {{"producer", name}});
//   dropped_.Add();
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace crm::obs {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void Add(double n = 1) const;
  double value() const;

 private:
  friend Counter MakeCounter(const std::string&, const std::string&, const Labels&);
  explicit Counter(void* metric) : metric_(metric) {}
  void* metric_;
};

class Gauge {
 public:
  void Set(double value) const;
  void Add(double n) const;
  double value() const;

 private:
  friend Gauge MakeGauge(const std::string&, const std::string&, const Labels&);
  explicit Gauge(void* metric) : metric_(metric) {}
  void* metric_;
};

class Histogram {
 public:
  void Observe(double value) const;
  void Observe(std::chrono::steady_clock::duration time) const { Observe(std::chrono::duration<double>(time).count()); }

 private:
  friend Histogram MakeHistogram(const std::string&, const std::string&, const Labels&, const std::vector<double>&);
  explicit Histogram(void* metric) : metric_(metric) {}
  void* metric_;
};

Counter MakeCounter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge MakeGauge(const std::string& name, const std::string& help, const Labels& labels = {});

// Seconds from 0.5 ms to 30 s: what a call or a statement takes.
inline const std::vector<double> kSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,   0.5,   1,      2.5,   5,    10,    30};
Histogram MakeHistogram(const std::string& name, const std::string& help, const Labels& labels = {},
                        const std::vector<double>& bounds = kSeconds);

// Called before each exposition, e.g. to set gauges from what is known only then. Must not block.
void BeforeExposition(std::function<void()> update);

// All metrics in Prometheus' text format 0.0.4.
std::string Exposition();

}  // namespace crm::obs
