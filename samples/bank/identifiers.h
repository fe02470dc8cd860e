// Words that commands and events of the bank carry, checked where they are read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "aggregates/fields.h"

namespace bank {

/// Names an account, the one of the stream `account-ID`. A transfer stores whom it pays long before
/// it does, so what could not be a stream is refused at once.
struct AccountId {
  std::string text;

  static constexpr std::size_t kBytesMax = 200;
  auto operator<=>(const AccountId&) const = default;
};

/// Three capital letters (ISO 4217).
struct Currency {
  std::string text;

  auto operator<=>(const Currency&) const = default;
};

}  // namespace bank

template <>
struct keelson::aggregates::Codec<bank::AccountId> {
  static Read<bank::AccountId> read(const nlohmann::json& value, const FieldOptions&);
  static void write(std::string& out, const bank::AccountId& id);
  static nlohmann::ordered_json schema(const FieldOptions&);
};

template <>
struct keelson::aggregates::Codec<bank::Currency> {
  static Read<bank::Currency> read(const nlohmann::json& value, const FieldOptions&);
  static void write(std::string& out, const bank::Currency& currency);
  static nlohmann::ordered_json schema(const FieldOptions&);
};
