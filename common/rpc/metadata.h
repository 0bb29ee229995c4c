// The metadata that calls carry between our services. The gateway sets them for its callers' requests; nothing of what
// a browser or partner sends under these names gets through.
#pragma once

namespace crm::rpc {

inline constexpr char kAuthorizationMetadata[] = "authorization";  // "Bearer <token>": whose call it is
inline constexpr char kTenantMetadata[] = "crm-tenant";            // TypeID; only for a service's own calls
// "rule_... rule_run_... 2": what set a service's own call off (Call::cause).
inline constexpr char kCauseMetadata[] = "crm-cause";
inline constexpr char kAnonymousMetadata[] = "crm-anonymous";   // "1": somebody without a token asks, not the service
inline constexpr char kRequestIdMetadata[] = "crm-request-id";  // quoted in logs and errors of every hop
inline constexpr char kIdempotencyKeyMetadata[] = "idempotency-key";  // when the message has no request_id
inline constexpr char kTraceparentMetadata[] = "traceparent";         // W3C trace context
inline constexpr char kLanguageMetadata[] = "accept-language";        // as HTTP has it
inline constexpr char kTimeZoneMetadata[] = "crm-time-zone";          // IANA name

// The name in the certificate of the terminator that other companies' systems come through (deploy/README.md): it may
// connect, and is nobody. Only a token or an API key says who calls.
inline constexpr char kEdgeCertificate[] = "edge";

// The gateway's. What it asks with a token or as anonymous, somebody outside asks.
inline constexpr char kGatewayCertificate[] = "gateway";

}  // namespace crm::rpc
