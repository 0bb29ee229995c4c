#include "common/app/app.h"
#include "services/analytics/consumers/consumers.h"
#include "services/analytics/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "analytics", [](crm::app::Runtime& runtime) {
    namespace analytics = crm::analytics;
    static analytics::Live live;
    static analytics::Producers producers(analytics::Producers::Of({{"contact", &runtime.peer("contact")},
                                                                    {"deal_pipeline", &runtime.peer("deal_pipeline")},
                                                                    {"identity", &runtime.peer("identity")},
                                                                    {"messaging", &runtime.peer("messaging")},
                                                                    {"scheduler", &runtime.peer("scheduler")}}));
    runtime.Serve(std::make_unique<analytics::ReportService>(
        runtime.db(), producers, live,
        [&runtime](std::function<void()> work) { return runtime.OffloadVoid(std::move(work)); }));
    // Projections: what a crash takes back, it takes back together with the position.
    constexpr bool kAsynchronousCommit = true;
    const auto hear = [&](const char* producer, auto subscribe) {
      runtime.Hear(
          producer,
          [&](crm::events::Consumer& consumer) {
            subscribe(consumer);
            live.Listen(consumer);
          },
          kAsynchronousCommit);
    };
    hear("contact", analytics::HearContact);
    hear("deal_pipeline", [&](auto& consumer) { analytics::HearDealPipeline(consumer, runtime.db()); });
    hear("identity", analytics::HearIdentity);
    hear("messaging", analytics::HearMessaging);
    hear("scheduler", analytics::HearScheduler);
  });
}
