// What templates work on: values taken from records, and the shape of what could be there. Pure.
#pragma once

#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crm/messaging/v1/template.pb.h"

namespace crm::messaging {

// One value. Numbers are decimal text, so that nothing is rounded on its way through.
struct Value {
  enum class Kind { kNone, kText, kNumber, kBool, kMoney, kDate, kTime, kList, kObject };
  Kind kind = Kind::kNone;
  std::string text;      // text, number ("12.50"), amount of money, "2026-11-23", RFC 3339 time
  std::string currency;  // of money
  bool flag = false;
  std::vector<Value> items;
  std::map<std::string, Value> fields;

  static Value Text(std::string text);
  static Value Number(std::string text);
  static Value Bool(bool flag);
  static Value Money(std::string amount, std::string currency);
  static Value Date(std::string day);

  // The member of an object: money has `amount` and `currency_code`, a list `size`, `first` and `last`. None where
  // there is none.
  Value Member(absl::string_view name) const;
  // Whether an `if` takes it for true: neither nothing, false, an empty text or list, nor zero.
  bool Truth() const;
};

// A record as a value: every field that is set, enums as the last words of their labels in small letters ("won"),
// money, dates and times as such. Secrets (INPUT_ONLY) and `access` stay out.
Value ValueOf(const google::protobuf::Message& record);
// What a sender supplies: JSON, read by the kind that the template declares.
Value ValueOf(const google::protobuf::Value& json, v1::VariableKind kind);

// The shape of a value: which members it may have.
struct Shape {
  v1::VariableKind kind = v1::VARIABLE_KIND_TEXT;
  const google::protobuf::Descriptor* object = nullptr;  // of an object with known fields
  bool any = false;                                      // declared by the template: any members
  std::shared_ptr<Shape> item;                           // of a list
  std::map<std::string, Shape> members;                  // of the root
};
// The shape of a member; nullptr if there can be none.
std::shared_ptr<Shape> MemberShape(const Shape& shape, absl::string_view name);

// What every template may name: contact, company, deal, sender, tenant and `today`; with the template's own variables.
Shape RootShape(const google::protobuf::RepeatedPtrField<v1::TemplateVariable>& variables);

// Every path below the root, for editors: {"contact.given_name", kind}; list items as "deal.lines[].name".
std::vector<std::pair<std::string, v1::VariableKind>> PathsOf(const Shape& root);

}  // namespace crm::messaging
