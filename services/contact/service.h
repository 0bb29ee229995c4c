// The contact service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/contact/v1/activity.pb.h"
#include "crm/contact/v1/card.pb.h"
#include "crm/contact/v1/company.pb.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/contact/v1/note.pb.h"

namespace crm::contact {

// The record tables, compiled once.
struct Tables {
  Tables();
  pg::Table<v1::Contact> contacts{"contact"};
  pg::Table<v1::Company> companies{"contact"};
  pg::Table<v1::Note> notes{"contact"};
  pg::Table<v1::Activity> activities{"contact"};
};

class ContactService final : public rpc::Service {
 public:
  ContactService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.contact.v1.ContactService"),
        db_(db),
        contacts_(tables.contacts),
        companies_(tables.companies) {}

  CRM_RPC(CreateContact, v1::CreateContactRequest, v1::Contact)
  CRM_RPC(GetContact, v1::GetContactRequest, v1::Contact)
  CRM_RPC(ListContacts, v1::ListContactsRequest, v1::ListContactsResponse)
  CRM_RPC(UpdateContact, v1::UpdateContactRequest, v1::Contact)
  CRM_RPC(DeleteContact, v1::DeleteContactRequest, v1::Contact)
  CRM_RPC(UndeleteContact, v1::UndeleteContactRequest, v1::Contact)
  CRM_RPC(BatchCreateContacts, v1::BatchCreateContactsRequest, v1::BatchCreateContactsResponse)
  CRM_RPC(UpsertContact, v1::UpsertContactRequest, v1::Contact)
  CRM_RPC(LookupContacts, v1::LookupContactsRequest, v1::LookupContactsResponse)
  CRM_RPC(ListContactRevisions, v1::ListContactRevisionsRequest, v1::ListContactRevisionsResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Contact>& contacts_;
  const pg::Table<v1::Company>& companies_;
};

class CompanyService final : public rpc::Service {
 public:
  CompanyService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.contact.v1.CompanyService"), db_(db), companies_(tables.companies) {}

  CRM_RPC(CreateCompany, v1::CreateCompanyRequest, v1::Company)
  CRM_RPC(GetCompany, v1::GetCompanyRequest, v1::Company)
  CRM_RPC(ListCompanies, v1::ListCompaniesRequest, v1::ListCompaniesResponse)
  CRM_RPC(UpdateCompany, v1::UpdateCompanyRequest, v1::Company)
  CRM_RPC(DeleteCompany, v1::DeleteCompanyRequest, v1::Company)
  CRM_RPC(UndeleteCompany, v1::UndeleteCompanyRequest, v1::Company)
  CRM_RPC(BatchCreateCompanies, v1::BatchCreateCompaniesRequest, v1::BatchCreateCompaniesResponse)
  CRM_RPC(UpsertCompany, v1::UpsertCompanyRequest, v1::Company)
  CRM_RPC(LookupCompanies, v1::LookupCompaniesRequest, v1::LookupCompaniesResponse)
  CRM_RPC(ListCompanyRevisions, v1::ListCompanyRevisionsRequest, v1::ListCompanyRevisionsResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Company>& companies_;
};

class NoteService final : public rpc::Service {
 public:
  NoteService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.contact.v1.NoteService"), db_(db), notes_(tables.notes) {}

  CRM_RPC(CreateNote, v1::CreateNoteRequest, v1::Note)
  CRM_RPC(GetNote, v1::GetNoteRequest, v1::Note)
  CRM_RPC(ListNotes, v1::ListNotesRequest, v1::ListNotesResponse)
  CRM_RPC(UpdateNote, v1::UpdateNoteRequest, v1::Note)
  CRM_RPC(DeleteNote, v1::DeleteNoteRequest, v1::Note)
  CRM_RPC(UndeleteNote, v1::UndeleteNoteRequest, v1::Note)

 private:
  pg::Db& db_;
  const pg::Table<v1::Note>& notes_;
};

class ActivityService final : public rpc::Service {
 public:
  ActivityService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.contact.v1.ActivityService"), db_(db), activities_(tables.activities) {}

  CRM_RPC(ListActivities, v1::ListActivitiesRequest, v1::ListActivitiesResponse)

 private:
  pg::Db& db_;
  const pg::Table<v1::Activity>& activities_;
};

class CardService final : public rpc::Service {
 public:
  CardService(pg::Db& db, const Tables& tables)
      : rpc::Service("crm.contact.v1.CardService"),
        db_(db),
        contacts_(tables.contacts),
        notes_(tables.notes),
        activities_(tables.activities) {}

  CRM_RPC(GetContactCard, v1::GetContactCardRequest, v1::ContactCard)
  CRM_RPC(LookupCard, v1::LookupCardRequest, v1::LookupCardResponse)

 private:
  Async<v1::ContactCard> CardOf(const Call& call, v1::Contact contact);

  pg::Db& db_;
  const pg::Table<v1::Contact>& contacts_;
  const pg::Table<v1::Note>& notes_;
  const pg::Table<v1::Activity>& activities_;
};

}  // namespace crm::contact
