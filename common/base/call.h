// One request: who asks, for which tenant, until when. Handed to every handler, and on to every database and rpc call.
#pragma once

#include <absl/time/time.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/id.h"
#include "crm/type/v1/options.pb.h"

namespace crm {

// What the caller's roles grant: (object, action) -> own / team / all; absent means no.
class Rights {
 public:
  using Key = std::pair<std::string, type::v1::Action>;

  // Grants at least this scope.
  void Grant(const std::string& object, type::v1::Action action, type::v1::Scope scope) {
    auto& have = scopes_[{object, action}];
    if (scope > have) have = scope;
  }
  // "*" grants for every object.
  type::v1::Scope ScopeOf(const std::string& object, type::v1::Action action) const {
    type::v1::Scope scope = type::v1::SCOPE_UNSPECIFIED;
    for (const auto& name : {object, std::string("*")}) {
      auto it = scopes_.find({name, action});
      if (it != scopes_.end() && it->second > scope) scope = it->second;
    }
    return scope;
  }
  bool personal_data = false;  // may see fields marked personal
  const std::map<Key, type::v1::Scope>& scopes() const { return scopes_; }

 private:
  std::map<Key, type::v1::Scope> scopes_;
};

// Who asks. Verified by common/rpc from the token; never taken from the request.
struct Principal {
  enum class Kind { kAnonymous, kUser, kApiKey, kService };

  Kind kind = Kind::kAnonymous;
  Uuid tenant;              // nil for anonymous calls and for service calls without a tenant
  std::string user_id;      // TypeID "user_..." or "key_..."; for services "service_<name>"
  std::string session_id;   // TypeID; empty for API keys and services
  Uuid team;                // nil if none
  std::string team_id;      // TypeID of the user's own team; empty if none
  std::vector<Uuid> teams;  // the team and every team below it: what SCOPE_TEAM covers
  std::vector<std::string> role_ids;
  std::shared_ptr<const Rights> rights = std::make_shared<Rights>();

  std::string tenant_id() const { return tenant.IsNil() ? "" : TypeId("tenant", tenant); }
};

// The automation rule's run that stands behind a call; passed on to other services and stamped on events.
struct Cause {
  std::string rule_id;  // TypeID; empty: no rule does
  std::string run_id;   // TypeID
  int depth = 0;        // how many rules stand behind each other

  bool empty() const { return rule_id.empty(); }
};

struct Call {
  Principal principal;
  std::string method;           // "crm.contact.v1.ContactService.GetContact"
  std::string request_id;       // quoted in logs and errors
  std::string idempotency_key;  // the caller's request_id / Idempotency-Key, or minted
  std::string body_hash;        // SHA-256 of the request without its key: the same key with another body is refused
  bool has_etag = false;        // a lost race is then the caller's to decide
  std::string token;            // the verified bearer token, passed on to other services; empty for services' own work
  std::string traceparent;      // W3C trace context, this hop's
  std::string language = "en";  // en, ru, he, yi
  std::string time_zone = "UTC";
  Cause cause;                // of services' own calls only
  std::string country_code;   // the tenant's, from the token: how phones without a country code are read
  std::string currency_code;  // the tenant's, from the token: of sums that name none
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  absl::Time start;  // stamps records; what is due is decided by the database's clock

  const Uuid& tenant() const { return principal.tenant; }
  absl::Time now() const { return start; }
  type::v1::Scope ScopeOf(const std::string& object, type::v1::Action action) const {
    if (principal.kind == Principal::Kind::kService) return type::v1::SCOPE_ALL;
    return principal.rights->ScopeOf(object, action);
  }
};

}  // namespace crm
