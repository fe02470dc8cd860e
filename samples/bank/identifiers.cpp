#include "samples/bank/identifiers.h"

#include <algorithm>

#include "aggregates/json_text.h"
#include "engine/store/names.h"

namespace keelson::aggregates {

Read<bank::AccountId> Codec<bank::AccountId>::read(const nlohmann::json& value,
                                                   const FieldOptions&) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const bool fits = !text.empty() && text.size() <= bank::AccountId::kBytesMax;
    if (fits && check_stream_name("account-" + text, Limits{})) return bank::AccountId{text};
  }
  return std::unexpected(Problem{"", "must be the id of an account, a string of 1 to 200 bytes"});
}

void Codec<bank::AccountId>::write(std::string& out, const bank::AccountId& id) {
  append_json_string(out, id.text);
}

nlohmann::ordered_json Codec<bank::AccountId>::schema(const FieldOptions&) {
  return {{"type", "string"}, {"minLength", 1}, {"maxLength", bank::AccountId::kBytesMax}};
}

Read<bank::Currency> Codec<bank::Currency>::read(const nlohmann::json& value, const FieldOptions&) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (text.size() == 3 && std::all_of(text.begin(), text.end(), capital))
      return bank::Currency{text};
  }
  return std::unexpected(Problem{"", "must be a currency like \"CZK\""});
}

void Codec<bank::Currency>::write(std::string& out, const bank::Currency& currency) {
  append_json_string(out, currency.text);
}

nlohmann::ordered_json Codec<bank::Currency>::schema(const FieldOptions&) {
  return {{"type", "string"}, {"pattern", "^[A-Z]{3}$"}};
}

}  // namespace keelson::aggregates
