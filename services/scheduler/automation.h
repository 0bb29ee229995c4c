// Automation rules put together: dictionary, consumers, runner and rpcs. main.cc calls it once.
#pragma once

#include <memory>
#include <string>

#include "common/app/app.h"
#include "common/events/consumer.h"
#include "services/scheduler/jobs/automation_effects.h"
#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// What rules do in this service itself, by the same functions as its handlers.
std::unique_ptr<automation::Inside> MakeInside(App& app);

// Serves RuleService, refreshes the dictionary and registers the rules' timers. `app` and `timers` outlive the process's loops;
// to be called before timers run.
void InstallRules(app::Runtime& runtime, App& app, Timers& timers);

// What rules hear of a service, this one and identity included; after InstallRules, in the subscription that the service has
// anyway: there is one per producer.
void HearForRules(events::Consumer& consumer, const std::string& producer);

}  // namespace crm::scheduler
