// JSON <-> protobuf by descriptors, in the dialect of every surface (DESIGN.md, "JSON"); it follows proto3's JSON
// mapping (protobuf.dev/programming-guides/json) except where our rules differ:
//
//   names               the proto's snake_case names, never camelCase
//   scalars, enums      always printed, with their default too, unless `optional`, in a oneof, or a message that is absent
//   lists, maps         always printed: [] and {}; map keys in order
//   (u)int64, fixed64   text: "9007199254740993"; read from text or number
//   float, double       finite only; NaN and Infinity are an error in both directions
//   enum                the value's name; a number that this build has no name for is printed as a number
//   bytes               base64, padded; also read unpadded and in the URL alphabet
//   Timestamp           RFC 3339 in UTC with 0, 3, 6 or 9 digits: "2026-11-23T05:39:03.120Z"; any offset is read
//   Duration            "3s", "3.500s"
//   FieldMask           "display_name,phones": snake_case paths, comma-separated
//   Any                 {"@type": "type.googleapis.com/<full name>", ...}, resolved by full name in the descriptor's pool
//   Struct, Value, wrappers (StringValue ...)  plain JSON
//   null                the field is absent; in a Value: its null. Refused inside lists and maps of anything else
//   strings             UTF-8 without NUL; written unescaped except quote, backslash and control characters
//
// Descriptors may come from any pool: generated, or loaded at run time (dynamic messages). Everything is thread-safe.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace crm::json {

// ---- writing ----

// Wire bytes -> JSON text by a plan compiled once per message type, without building a message: about 1-2 µs for 300
// bytes. It reads what every parser must accept: fields in any order, packed or not, repeated ones apart, the last one
// winning, unknown ones skipped. Bytes that are no message of the type, bad UTF-8, a number that is not finite, a
// Timestamp or Duration out of range, or an Any whose type is not in the pool are DATA_LOSS, naming the path.
class Writer {
 public:
  // What is known of one message type. Owned by the writer, lives as long as it; keep the pointer per route.
  struct Plan;

  // The pool must outlive the writer. Plans are compiled at first use.
  explicit Writer(const google::protobuf::DescriptorPool* pool);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // The writer of the types compiled into this binary.
  static const Writer& Generated();

  // `type` must be of this writer's pool.
  const Plan* PlanOf(const google::protobuf::Descriptor* type) const;

  // Appends the JSON of one message to `out`; after an error `out` is as it was. `extra` is JSON text of further
  // members for the end of the top-level object, e.g. R"("refs":{})"; it needs a type that prints as an object.
  absl::Status Append(const Plan* plan, absl::string_view wire, std::string& out, absl::string_view extra = {}) const;

  // The same with a look-up of the plan.
  absl::StatusOr<std::string> Write(const google::protobuf::Descriptor* type, absl::string_view wire,
                                    absl::string_view extra = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A message object, generated or dynamic: serialised, then written. A dynamic message compiles its plan anew each time:
// keep a Writer for the pool where speed matters.
absl::StatusOr<std::string> Write(const google::protobuf::Message& message, absl::string_view extra = {});

// Appends the value of one field as JSON text, for a jsonb column: an object for a message, an array for a repeated
// field, an object for a map; an absent message is "null". Generated messages only.
absl::Status AppendField(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor* field,
                         std::string& out);

// Appends text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD, so the result is always JSON.
void AppendString(absl::string_view text, std::string& out);

// ---- reading ----

// The deepest nesting of objects and arrays that is read: far beyond any message of ours, small enough for any stack.
inline constexpr int kDepthMax = 64;
// The largest text read unless the caller says otherwise: the gateway's default body limit.
inline constexpr std::size_t kBytesMax = 4 << 20;
// Violations listed in one error; more are counted, not listed: an answer must not outgrow its request.
inline constexpr std::size_t kViolationsMax = 50;

struct ReadOptions {
  // For JSON that this or a newer release has stored: members, enum names and Any types that this build does not know
  // are left out, and enum values are read by number too. Never at the edge, where the unknown is refused.
  bool stored = false;
  // Also reads lowerCamelCase names (and FieldMask paths), as clients of the Connect protocol send them.
  bool camel_case = false;
  std::size_t bytes_max = kBytesMax;
  int depth_max = kDepthMax;
};

// JSON text -> message. Members named in the text replace the message's fields, the others stay as they are. Nothing
// else is trusted: every violation is reported at once as a FieldViolation with its path ("contact.phones[0].number"),
// and after an error the message's contents are unspecified.
//   BODY_INVALID   no JSON (with line and column), too deep, bad UTF-8, or not an object
//   TOO_LARGE      longer than bytes_max; metadata `limit`
//   FIELD_UNKNOWN  a member that the message does not have
//   FIELD_INVALID  wrong type, out of range, unknown enum name (the allowed ones are listed), a name twice, two members
//   of
//                  one oneof
// `present`, if given, receives the top-level names that the text has, null ones included, in the order of the
// proto's fields: the mask of a PATCH. A nested message or a map is one name.
absl::Status Read(absl::string_view text, google::protobuf::Message& message, const ReadOptions& options = {},
                  std::vector<std::string>* present = nullptr);

// One field of `message` from text that AppendField wrote (or the same JSON): replaces it; "null" clears it.
absl::Status ReadField(absl::string_view text, const google::protobuf::FieldDescriptor* field,
                       google::protobuf::Message& message, const ReadOptions& options = {.stored = true});

// ---- text: query parameters and path variables ----

// Sets the field at a dotted path ("page_size", "contact.id") from plain text: scalars, enum names, Timestamp,
// Duration, FieldMask and wrappers in the form that JSON has between quotes. A repeated field gets one more element.
// Messages on the way are created. Maps, Struct, Value, Any and other messages cannot be set so. The same errors and
// reasons as Read.
absl::Status SetField(google::protobuf::Message& message, absl::string_view path, absl::string_view text);

// Decoded query parameters in order, e.g. {{"page_size", "50"}, {"ids", "a"}, {"ids", "b"}}: all violations at once; a
// field that is not repeated may stand only once.
absl::Status ReadParameters(const std::vector<std::pair<std::string, std::string>>& parameters,
                            google::protobuf::Message& message);

}  // namespace crm::json
