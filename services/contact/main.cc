#include "common/app/app.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"

int main(int argc, char** argv) {
  return crm::app::Main(argc, argv, "contact", [](crm::app::Runtime& runtime) {
    namespace contact = crm::contact;
    static const contact::Tables tables;
    runtime.Own(tables.contacts);
    runtime.Own(tables.companies);
    // What may be done with a note goes by its author.
    runtime.ShowKept(contact::v1::Note::descriptor()->full_name(),
                     [](const crm::Call& call, google::protobuf::Message& reply) {
                       auto& note = static_cast<contact::v1::Note&>(reply);
                       note = contact::ShownNote(call, tables.notes, note);
                     });
    runtime.Serve(std::make_unique<contact::ContactService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<contact::CompanyService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<contact::NoteService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<contact::ActivityService>(runtime.db(), tables));
    runtime.Serve(std::make_unique<contact::CardService>(runtime.db(), tables));
    runtime.Hear("identity", contact::HearIdentity);
    // The timeline and the cards: projections.
    constexpr bool kAsynchronousCommit = true;
    crm::pg::Db& db = runtime.db();
    const auto hear = [&](const char* producer, auto subscribe) {
      runtime.Hear(
          producer, [&db, subscribe](crm::events::Consumer& consumer) { subscribe(consumer, db); },
          kAsynchronousCommit);
    };
    hear("contact", contact::HearContact);
    hear("deal_pipeline", [](auto& consumer, auto&) { contact::HearDealPipeline(consumer); });
    hear("messaging", contact::HearMessaging);
    hear("scheduler", contact::HearScheduler);
  });
}
