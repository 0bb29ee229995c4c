// The contact service's handlers on the real PostgreSQL, as its own role.
#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/base/time.h"
#include "services/contact/service.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::contact {
namespace {

class ContactTest : public ::testing::Test {
 protected:
  void SetUp() override { CRM_NEED_SERVERS("contact"); }

  Call NewCall() const {
    Call call = crm::testing::TestCall(tenant_);
    call.principal.user_id = user_;
    call.country_code = "DE";
    return call;
  }
  v1::Contact Create(const v1::Contact& contact) {
    Call call = NewCall();
    v1::CreateContactRequest request;
    *request.mutable_contact() = contact;
    auto made = loop_.Run(contacts_.CreateContact(call, request));
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : v1::Contact();
  }
  static v1::Contact Person(const std::string& given, const std::string& family) {
    v1::Contact contact;
    contact.set_given_name(given);
    contact.set_family_name(family);
    return contact;
  }
  std::vector<std::string> Names(const std::string& query, const std::string& filter = "") {
    Call call = NewCall();
    v1::ListContactsRequest request;
    request.set_query(query);
    request.set_filter(filter);
    auto page = crm::testing::Received(loop_.Run(contacts_.ListContacts(call, request)));
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> names;
    if (page.ok()) {
      for (const auto& contact : page->contacts()) names.push_back(contact.display_name());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  crm::testing::Loop loop_;
  pg::Db db_{crm::testing::Servers::Get().Db("contact"), {loop_.executor()}};
  Tables tables_;
  ContactService contacts_{db_, tables_};
  CompanyService companies_{db_, tables_};
  Uuid tenant_ = crm::testing::NewTenant();
  std::string user_ = NewId("user", absl::Now());
};

TEST_F(ContactTest, IsFoundByAnySpellingOfItsNumber) {
  v1::Contact contact = Person("Anna", "Berg");
  contact.add_phones()->set_number("030 0074321");
  const v1::Contact made = Create(contact);
  for (const char* spelling : {"+49 30 007 43 21", "0049300074321", "030/0074321"}) {
    Call call = NewCall();
    v1::LookupContactsRequest request;
    request.set_phone(spelling);
    auto found = loop_.Run(contacts_.LookupContacts(call, request));
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->contacts_size(), 1) << spelling;
    EXPECT_EQ(found->contacts(0).id(), made.id());
  }
  EXPECT_EQ(Names("", "phone = \"030 0074321\""), std::vector<std::string>{"Anna Berg"});
  EXPECT_TRUE(Names("", "phone = \"030 0074322\"").empty());
}

TEST_F(ContactTest, SearchFindsPartsInAnyScript) {
  Create(Person("Иван", "Щёкин"));
  Create(Person("Zoë", "Müller"));
  Create(Person("דוד", "לוי"));
  EXPECT_EQ(Names("щек"), std::vector<std::string>{"Иван Щёкин"});
  EXPECT_EQ(Names("Shchyokin"), std::vector<std::string>{"Иван Щёкин"});
  EXPECT_EQ(Names("mull"), std::vector<std::string>{"Zoë Müller"});
  EXPECT_EQ(Names("לוי"), std::vector<std::string>{"דוד לוי"});
  EXPECT_EQ(Names("zo"), std::vector<std::string>{"Zoë Müller"});
  EXPECT_TRUE(Names("%_%").empty());
}

TEST_F(ContactTest, SearchFindsPeopleByTheirCompany) {
  Call call = NewCall();
  v1::CreateCompanyRequest request;
  request.mutable_company()->set_name("Quarzwerk Nord");
  auto company = loop_.Run(companies_.CreateCompany(call, request));
  ASSERT_TRUE(company.ok()) << company.status();
  v1::Contact contact = Person("Anna", "Berg");
  contact.set_company_id(company->id());
  Create(contact);
  EXPECT_EQ(Names("quarz"), std::vector<std::string>{"Anna Berg"});
}

TEST_F(ContactTest, AnUpdateMovesWhatItIsFoundBy) {
  v1::Contact contact = Person("Anna", "Berg");
  contact.add_emails()->set_address("old@example.org");
  const v1::Contact made = Create(contact);
  Call call = NewCall();
  v1::UpdateContactRequest request;
  request.mutable_contact()->set_id(made.id());
  request.mutable_contact()->set_family_name("Tal");
  request.mutable_contact()->add_emails()->set_address("new@example.org");
  request.mutable_update_mask()->add_paths("family_name");
  request.mutable_update_mask()->add_paths("emails");
  request.set_etag(made.etag());
  auto after = loop_.Run(contacts_.UpdateContact(call, request));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->display_name(), "Anna Tal");
  EXPECT_EQ(after->etag(), "2");
  EXPECT_TRUE(Names("", "email = \"old@example.org\"").empty());
  EXPECT_EQ(Names("", "email = \"new@example.org\""), std::vector<std::string>{"Anna Tal"});
  EXPECT_TRUE(Names("berg").empty());

  // Whoever still holds the first version is told the current one.
  Call late = NewCall();
  auto refused = loop_.Run(contacts_.UpdateContact(late, request));
  EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_ETAG_MISMATCH);
  EXPECT_EQ(MetadataOf(refused.status())["etag"], "2");

  Call history = NewCall();
  v1::ListContactRevisionsRequest revisions;
  revisions.set_id(made.id());
  auto changes = loop_.Run(contacts_.ListContactRevisions(history, revisions));
  ASSERT_TRUE(changes.ok()) << changes.status();
  ASSERT_EQ(changes->revisions_size(), 2);
  EXPECT_EQ(changes->revisions(0).actor_id(), user_);
  bool name = false;
  for (const auto& change : changes->revisions(0).changes()) {
    if (change.field() == "family_name") {
      name = true;
      EXPECT_EQ(change.old_value(), "\"Berg\"");
      EXPECT_EQ(change.new_value(), "\"Tal\"");
    }
  }
  EXPECT_TRUE(name);
}

// Three moments of one contact: made, renamed and given away, deleted.
TEST_F(ContactTest, AnswersAsOfAnyMoment) {
  const absl::Time begin = NewCall().start;
  const auto at = [&](int second) {
    Call call = NewCall();
    call.start = begin + absl::Seconds(second);
    return call;
  };
  const std::string heir = NewId("user", absl::Now());
  Call create = at(0), update = at(10), remove = at(20);
  v1::CreateContactRequest made;
  *made.mutable_contact() = Person("Anna", "Berg");
  made.mutable_contact()->add_phones()->set_number("030 0074321");
  auto contact = loop_.Run(contacts_.CreateContact(create, made));
  ASSERT_TRUE(contact.ok()) << contact.status();
  v1::UpdateContactRequest changed;
  changed.mutable_contact()->set_id(contact->id());
  changed.mutable_contact()->set_family_name("Tal");
  changed.mutable_contact()->set_owner_id(heir);
  changed.mutable_update_mask()->add_paths("family_name");
  changed.mutable_update_mask()->add_paths("owner_id");
  auto updated = loop_.Run(contacts_.UpdateContact(update, changed));
  ASSERT_TRUE(updated.ok()) << updated.status();
  v1::DeleteContactRequest gone;
  gone.set_id(contact->id());
  ASSERT_TRUE(loop_.Run(contacts_.DeleteContact(remove, gone)).ok());

  // What one sees by get and by list at that second; they agree.
  const auto seen = [&](int second, const Call& reader, const std::string& filter = "") {
    v1::GetContactRequest get;
    get.set_id(contact->id());
    *get.mutable_as_of() = ToTimestamp(begin + absl::Seconds(second));
    v1::ListContactsRequest list;
    *list.mutable_as_of() = get.as_of();
    list.set_filter(filter);
    list.set_view(type::v1::VIEW_FULL);
    Call first = reader, second_call = reader;
    auto got = loop_.Run(contacts_.GetContact(first, get));
    auto page = crm::testing::Received(loop_.Run(contacts_.ListContacts(second_call, list)));
    EXPECT_TRUE(page.ok()) << page.status();
    std::string listed = !page.ok() || page->contacts().empty() ? "" : page->contacts(0).family_name();
    if (filter.empty()) {
      EXPECT_EQ(got.ok() ? got->family_name() : "", listed) << second;
      if (!got.ok()) {
        EXPECT_TRUE(absl::IsNotFound(got.status())) << got.status();
      } else {
        EXPECT_EQ(got->access().can_size(), 0) << "what is gone by cannot be changed";
        EXPECT_EQ(got->SerializeAsString(), page->contacts(0).SerializeAsString());
      }
    }
    return listed;
  };
  EXPECT_EQ(seen(-1, NewCall()), "");
  EXPECT_EQ(seen(0, NewCall()), "Berg");
  EXPECT_EQ(seen(9, NewCall()), "Berg");
  EXPECT_EQ(seen(10, NewCall()), "Tal");
  EXPECT_EQ(seen(20, NewCall()), "");
  EXPECT_EQ(seen(5, NewCall(), "family_name = 'Berg'"), "Berg");
  EXPECT_EQ(seen(15, NewCall(), "family_name = 'Berg'"), "");

  // Rights are those of then: whoever reads own records only sees it while it was theirs; personal data stays masked.
  const auto reader = [&](const std::string& user) {
    Call call = NewCall();
    auto rights = std::make_shared<Rights>();
    rights->Grant("contact", type::v1::ACTION_READ, type::v1::SCOPE_OWN);
    call.principal.rights = rights;
    call.principal.user_id = user;
    return call;
  };
  EXPECT_EQ(seen(5, reader(user_)), "Berg");
  EXPECT_EQ(seen(15, reader(user_)), "");
  EXPECT_EQ(seen(5, reader(heir)), "");
  EXPECT_EQ(seen(15, reader(heir)), "Tal");
  v1::GetContactRequest masked;
  masked.set_id(contact->id());
  *masked.mutable_as_of() = ToTimestamp(begin + absl::Seconds(5));
  Call own = reader(user_);
  auto got = loop_.Run(contacts_.GetContact(own, masked));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->SerializeAsString().find("300074321"), std::string::npos);

  // Another tenant, and a search, which knows only now.
  Call other = crm::testing::TestCall(crm::testing::NewTenant());
  EXPECT_EQ(seen(5, other), "");
  v1::ListContactsRequest search;
  search.set_query("berg");
  *search.mutable_as_of() = masked.as_of();
  Call searcher = NewCall();
  auto refused = loop_.Run(contacts_.ListContacts(searcher, search));
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
}

TEST_F(ContactTest, DeletedOnesCanBeRestored) {
  const v1::Contact made = Create(Person("Anna", "Berg"));
  Call call = NewCall();
  v1::DeleteContactRequest request;
  request.set_id(made.id());
  ASSERT_TRUE(loop_.Run(contacts_.DeleteContact(call, request)).ok());
  EXPECT_TRUE(Names("berg").empty());
  Call get = NewCall();
  v1::GetContactRequest wanted;
  wanted.set_id(made.id());
  EXPECT_TRUE(absl::IsNotFound(loop_.Run(contacts_.GetContact(get, wanted)).status()));
  Call restore = NewCall();
  v1::UndeleteContactRequest undelete;
  undelete.set_id(made.id());
  ASSERT_TRUE(loop_.Run(contacts_.UndeleteContact(restore, undelete)).ok());
  EXPECT_EQ(Names("berg"), std::vector<std::string>{"Anna Berg"});
}

TEST_F(ContactTest, ABatchTellsOfEachAndRepeatsAlike) {
  v1::Contact taken = Person("Anna", "Berg");
  auto* id = taken.add_external_ids();
  id->set_system("shop");
  id->set_id("7");
  const v1::Contact first = Create(taken);
  Call call = NewCall();
  v1::BatchCreateContactsRequest request;
  *request.add_requests()->mutable_contact() = Person("Bert", "Tal");
  *request.add_requests()->mutable_contact() = taken;
  request.add_requests()->mutable_contact();
  auto answer = loop_.Run(contacts_.BatchCreateContacts(call, request));
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->results_size(), 3);
  EXPECT_TRUE(answer->results(0).has_contact());
  EXPECT_EQ(answer->results(1).error().code(), static_cast<int>(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(answer->results(2).error().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  bool named = false;
  for (const auto& detail : answer->results(1).error().details())
    named |= detail.value().find(first.id()) != std::string::npos;
  EXPECT_TRUE(named) << "the error names the record that has the external id";
  Call again = call;
  auto repeated = loop_.Run(contacts_.BatchCreateContacts(again, request));
  ASSERT_TRUE(repeated.ok());
  EXPECT_EQ(repeated->results(0).contact().id(), answer->results(0).contact().id());
  EXPECT_EQ(Names("tal"), std::vector<std::string>{"Bert Tal"});
}

TEST_F(ContactTest, UpsertMakesOnceAndThenChanges) {
  v1::UpsertContactRequest request;
  *request.mutable_contact() = Person("Anna", "Berg");
  auto* id = request.mutable_contact()->add_external_ids();
  id->set_system("shop");
  id->set_id("8");
  Call first = NewCall(), second = NewCall();
  auto made = loop_.Run(contacts_.UpsertContact(first, request));
  ASSERT_TRUE(made.ok()) << made.status();
  request.mutable_contact()->set_city("Berlin");
  auto changed = loop_.Run(contacts_.UpsertContact(second, request));
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->id(), made->id());
  EXPECT_EQ(changed->city(), "Berlin");
}

TEST_F(ContactTest, AnotherTenantFindsNothing) {
  v1::Contact contact = Person("Anna", "Berg");
  contact.add_emails()->set_address("anna@example.org");
  const v1::Contact made = Create(contact);
  tenant_ = crm::testing::NewTenant();
  EXPECT_TRUE(Names("berg").empty());
  EXPECT_TRUE(Names("", "email = \"anna@example.org\"").empty());
  Call call = NewCall();
  v1::GetContactRequest request;
  request.set_id(made.id());
  EXPECT_TRUE(absl::IsNotFound(loop_.Run(contacts_.GetContact(call, request)).status()));
}

TEST_F(ContactTest, OwnScopeSeesOwnOnlyInListsAndSearch) {
  Create(Person("Anna", "Berg"));
  user_ = NewId("user", absl::Now());
  Create(Person("Bert", "Berg"));
  Call call = NewCall();
  auto rights = std::make_shared<Rights>();
  rights->Grant("contact", type::v1::ACTION_READ, type::v1::SCOPE_OWN);
  rights->personal_data = true;
  call.principal.rights = rights;
  v1::ListContactsRequest list, search;
  search.set_query("berg");
  for (const auto& request : {list, search}) {
    auto page = crm::testing::Received(loop_.Run(contacts_.ListContacts(call, request)));
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->contacts_size(), 1);
    EXPECT_EQ(page->contacts(0).display_name(), "Bert Berg");
  }
}

TEST_F(ContactTest, PersonalFieldsAreMaskedWithoutTheRight) {
  v1::Contact contact = Person("Anna", "Berg");
  contact.add_phones()->set_number("030 0074321");
  const v1::Contact made = Create(contact);
  Call call = NewCall();
  auto rights = std::make_shared<Rights>();
  rights->Grant("contact", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  call.principal.rights = rights;
  v1::GetContactRequest request;
  request.set_id(made.id());
  auto got = loop_.Run(contacts_.GetContact(call, request));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->SerializeAsString().find("300074321"), std::string::npos);
  EXPECT_GT(got->access().masked_size(), 0);
}

}  // namespace
}  // namespace crm::contact
