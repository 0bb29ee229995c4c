#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/app/app.h"
#include "common/app/pruning.h"
#include "services/scheduler/automation.h"
#include "services/scheduler/consumers/consumers.h"
#include "services/scheduler/jobs/jobs.h"
#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "scheduler", [](crm::app::Runtime& runtime) {
    namespace sched = crm::scheduler;
    static const sched::Tables tables;
    static sched::App app{runtime.db(), tables, runtime.config().scheduler().test_clock()};
#ifndef CRM_FAILPOINTS
    if (app.test_clock) {
      std::fprintf(stderr, "scheduler: the configuration's scheduler.test_clock is refused by release builds.\n");
      std::exit(1);
    }
#endif
    runtime.Own(tables.tasks);
    runtime.Own(tables.reminders);
    runtime.Own(tables.calendars);
    runtime.Own(tables.absences);
    runtime.Serve(std::make_unique<sched::TaskService>(app));
    runtime.Serve(std::make_unique<sched::ReminderService>(app));
    runtime.Serve(std::make_unique<sched::CalendarService>(app));
    runtime.Serve(std::make_unique<sched::AbsenceService>(app));
    runtime.Serve(std::make_unique<sched::NotificationService>(app));
    runtime.Serve(std::make_unique<sched::ClockService>(app));

    sched::TimerOptions timing;
    timing.holder = runtime.holder();
    static sched::Timers timers(runtime.db(), runtime.worker_db(), timing);
    sched::FireTasks(timers, app);
    sched::FireReminders(timers, app);
    sched::FireSnoozes(timers, app);
    sched::InstallRules(runtime, app, timers);
    runtime.Job("timers", [](crm::Call) { return timers.Run(); });
    runtime.Job("prune", [&runtime](crm::Call call) {
      return crm::app::PruneForever(runtime.worker_db(), sched::Prunings(runtime.config().scheduler()),
                                    std::move(call));
    });

    // One subscription a producer: what the service itself hears of it, then its rules.
    const auto hear = [&](const char* producer, auto subscribe) {
      runtime.Hear(producer, [&](crm::events::Consumer& consumer) {
        subscribe(consumer);
        sched::HearForRules(consumer, producer);
      });
    };
    hear("identity", [](crm::events::Consumer& consumer) { sched::HearIdentity(consumer); });
    hear("contact", [](crm::events::Consumer& consumer) { sched::HearContacts(consumer, app); });
    hear("deal_pipeline", [](crm::events::Consumer& consumer) { sched::HearDeals(consumer, app); });
    hear("messaging", [](crm::events::Consumer& consumer) { sched::HearMessages(consumer, app); });
    hear("scheduler", [](crm::events::Consumer&) {});
  });
}
