#include "common/app/app.h"
#include "services/deal_pipeline/consumers/consumers.h"
#include "services/deal_pipeline/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "deal_pipeline", [](crm::app::Runtime& runtime) {
    namespace dp = crm::deal_pipeline;
    static const dp::Tables tables;
    runtime.Own(tables.pipelines);
    runtime.Own(tables.deals);
    runtime.Own(tables.products);
    runtime.Own(tables.leads);
    runtime.Own(tables.forms);
    runtime.Serve(std::make_unique<dp::PipelineService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<dp::DealService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<dp::CardService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<dp::ProductService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<dp::LeadService>(runtime.db(), runtime.peer("contact"), tables));
    runtime.Hear("identity",
                 [&runtime](crm::events::Consumer& consumer) { dp::HearIdentity(consumer, tables, runtime.db()); });
    // Projections: what a crash takes back, it takes back together with the position.
    runtime.Hear("scheduler", dp::HearScheduler, /*asynchronous_commit=*/true);
    runtime.Hear("messaging", dp::HearMessaging, /*asynchronous_commit=*/true);
  });
}
