// The messaging service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/client.h"
#include "common/rpc/service.h"
#include "crm/messaging/v1/channel.pb.h"
#include "crm/messaging/v1/conversation.pb.h"
#include "crm/messaging/v1/message.pb.h"
#include "crm/messaging/v1/suppression.pb.h"
#include "crm/messaging/v1/template.pb.h"
#include "services/messaging/mime.h"
#include "services/messaging/net_guard.h"
#include "services/messaging/secrets.h"
#include "services/messaging/smtp.h"

namespace crm::messaging {

// The record tables, compiled once.
struct Tables {
  Tables();
  pg::Table<v1::Template> templates{"messaging"};
  pg::Table<v1::Channel> channels{"messaging"};
  pg::Table<v1::Conversation> conversations{"messaging"};
  pg::Table<v1::Message> messages{"messaging"};
  pg::Table<v1::Suppression> suppressions{"messaging"};
};

// What the operator sets (crm.app.v1.Config.Messaging).
struct Settings {
  NetGuard guard;
  std::optional<SecretBox> secrets;  // none: channels cannot keep passwords
  std::string smtp_ca_file;
  SmtpTimes smtp_times;
  int attempts_max = 8;
  std::chrono::milliseconds retry{60000};  // after the first failure; doubled after each further one
  std::string parser;                      // the program that reads letters: this one
  ChildLimits parse_limits;
  size_t letter_bytes_max = size_t{25} << 20;
};

// The content of stored files, for attachments. Served by whoever keeps files.
class FileStore {
 public:
  virtual ~FileStore() = default;
  // A file that the caller may read; NOT_FOUND otherwise.
  virtual Async<OutgoingFile> Load(const Call& call, std::string file_id) = 0;
  // Keeps a file that came with a letter and answers its id. The same `source` (message and place) gives the same file.
  virtual Async<std::string> Keep(const Call& call, OutgoingFile file, std::string source) = 0;
};

// What the services and jobs of this process share.
struct Messaging {
  pg::Db& db;
  pg::Db& worker_db;
  rpc::Client& contacts;
  rpc::Client& deals;
  Settings settings;
  // Runs work that blocks beside the loops.
  std::function<Async<>(std::function<void()>)> offload;
  // A call of the service itself in a tenant.
  std::function<Call(const Uuid&)> own_call;
  Tables tables{};
  FileStore* files = nullptr;                 // none: letters have no attachments
  std::function<void()> wake_sender = [] {};  // a letter has been queued
};

class TemplateService final : public rpc::Service {
 public:
  explicit TemplateService(Messaging& app) : rpc::Service("crm.messaging.v1.TemplateService"), app_(app) {}

  CRM_RPC(CreateTemplate, v1::CreateTemplateRequest, v1::Template)
  CRM_RPC(GetTemplate, v1::GetTemplateRequest, v1::Template)
  CRM_RPC(ListTemplates, v1::ListTemplatesRequest, v1::ListTemplatesResponse)
  CRM_RPC(UpdateTemplate, v1::UpdateTemplateRequest, v1::Template)
  CRM_RPC(DeleteTemplate, v1::DeleteTemplateRequest, v1::Template)
  CRM_RPC(UndeleteTemplate, v1::UndeleteTemplateRequest, v1::Template)
  CRM_RPC(ListTemplateRevisions, v1::ListTemplateRevisionsRequest, v1::ListTemplateRevisionsResponse)
  CRM_RPC(PreviewTemplate, v1::PreviewTemplateRequest, v1::PreviewTemplateResponse)
  CRM_RPC(ListTemplateVariables, v1::ListTemplateVariablesRequest, v1::ListTemplateVariablesResponse)

 private:
  Messaging& app_;
  pg::Db& db_ = app_.db;
  const pg::Table<v1::Template>& templates_ = app_.tables.templates;
};

class ChannelService final : public rpc::Service {
 public:
  explicit ChannelService(Messaging& app) : rpc::Service("crm.messaging.v1.ChannelService"), app_(app) {}

  CRM_RPC(CreateChannel, v1::CreateChannelRequest, v1::Channel)
  CRM_RPC(GetChannel, v1::GetChannelRequest, v1::Channel)
  CRM_RPC(ListChannels, v1::ListChannelsRequest, v1::ListChannelsResponse)
  CRM_RPC(UpdateChannel, v1::UpdateChannelRequest, v1::Channel)
  CRM_RPC(DeleteChannel, v1::DeleteChannelRequest, v1::Channel)
  CRM_RPC(UndeleteChannel, v1::UndeleteChannelRequest, v1::Channel)
  CRM_RPC(TestChannel, v1::TestChannelRequest, v1::TestChannelResponse)

 private:
  Messaging& app_;
  pg::Db& db_ = app_.db;
  const pg::Table<v1::Channel>& channels_ = app_.tables.channels;
};

class ConversationService final : public rpc::Service {
 public:
  explicit ConversationService(Messaging& app) : rpc::Service("crm.messaging.v1.ConversationService"), app_(app) {}

  CRM_RPC(GetConversation, v1::GetConversationRequest, v1::Conversation)
  CRM_RPC(ListConversations, v1::ListConversationsRequest, v1::ListConversationsResponse)
  CRM_RPC(UpdateConversation, v1::UpdateConversationRequest, v1::Conversation)
  CRM_RPC(CloseConversation, v1::CloseConversationRequest, v1::Conversation)
  CRM_RPC(ReopenConversation, v1::ReopenConversationRequest, v1::Conversation)
  CRM_RPC(ReadConversation, v1::ReadConversationRequest, v1::Conversation)
  CRM_RPC(AddComment, v1::AddCommentRequest, v1::Message)
  CRM_RPC(GetInbox, v1::GetInboxRequest, v1::Inbox)

 private:
  Async<v1::Conversation> SetStatus(Call& call, std::string id, std::string etag, v1::ConversationStatus status);

  Messaging& app_;
  pg::Db& db_ = app_.db;
  const pg::Table<v1::Conversation>& conversations_ = app_.tables.conversations;
  const pg::Table<v1::Message>& messages_ = app_.tables.messages;
};

class MessageService final : public rpc::Service {
 public:
  explicit MessageService(Messaging& app) : rpc::Service("crm.messaging.v1.MessageService"), app_(app) {}

  CRM_RPC(SendMessage, v1::SendMessageRequest, v1::Message)
  CRM_RPC(GetMessage, v1::GetMessageRequest, v1::Message)
  CRM_RPC(ListMessages, v1::ListMessagesRequest, v1::ListMessagesResponse)
  CRM_RPC(RetryMessage, v1::RetryMessageRequest, v1::Message)
  CRM_RPC(CancelMessage, v1::CancelMessageRequest, v1::Message)

 private:
  Messaging& app_;
  pg::Db& db_ = app_.db;
  const pg::Table<v1::Message>& messages_ = app_.tables.messages;
  const pg::Table<v1::Conversation>& conversations_ = app_.tables.conversations;
};

class SuppressionService final : public rpc::Service {
 public:
  explicit SuppressionService(Messaging& app) : rpc::Service("crm.messaging.v1.SuppressionService"), app_(app) {}

  CRM_RPC(CreateSuppression, v1::CreateSuppressionRequest, v1::Suppression)
  CRM_RPC(GetSuppression, v1::GetSuppressionRequest, v1::Suppression)
  CRM_RPC(ListSuppressions, v1::ListSuppressionsRequest, v1::ListSuppressionsResponse)
  CRM_RPC(DeleteSuppression, v1::DeleteSuppressionRequest, v1::Suppression)

 private:
  Messaging& app_;
  pg::Db& db_ = app_.db;
  const pg::Table<v1::Suppression>& suppressions_ = app_.tables.suppressions;
};

}  // namespace crm::messaging
