#include "http/negotiate.h"

#include <algorithm>
#include <string>

namespace keelson::http {

namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return result;
}

/// Takes what stands before the next `separator`.
std::string_view take(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view piece = trimmed(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return piece;
}

/// A weight in thousandths: `1`, `0.5`, `0.333`. What is malformed counts as 1.
int weight_of(std::string_view text) {
  if (text.empty() || (text.front() != '0' && text.front() != '1')) return 1000;
  int weight = (text.front() - '0') * 1000;
  if (text.size() == 1) return weight;
  if (text[1] != '.' || text.size() > 5) return 1000;
  int digit_value = 100;
  for (const char digit : text.substr(2)) {
    if (digit < '0' || digit > '9') return 1000;
    weight += (digit - '0') * digit_value;
    digit_value /= 10;
  }
  return std::min(weight, 1000);
}

/// How exactly a media range names an offer; 0: not at all.
int precision(std::string_view range, std::string_view offer) {
  if (range == offer) return 3;
  if (range == "*/*") return 1;
  return range.ends_with("/*") && offer.starts_with(range.substr(0, range.size() - 1)) ? 2 : 0;
}

/// The weight of the most exact range that names the offer.
int weight_for(std::string_view offer, std::string_view accept) {
  int best_precision = 0;
  int weight = 0;
  while (!accept.empty()) {
    std::string_view parameters = take(accept, ',');
    const std::string range = lower(take(parameters, ';'));
    int given = 1000;
    while (!parameters.empty()) {
      const std::string_view parameter = take(parameters, ';');
      if (parameter.starts_with("q=") || parameter.starts_with("Q=")) {
        given = weight_of(parameter.substr(2));
      }
    }
    const int found = precision(range, offer);
    if (found > best_precision) {
      best_precision = found;
      weight = given;
    }
  }
  return weight;
}

}  // namespace

std::optional<std::size_t> negotiate(std::optional<std::string_view> accept,
                                     std::initializer_list<std::string_view> offers) {
  if (!accept || trimmed(*accept).empty()) return 0;
  std::optional<std::size_t> best;
  int best_weight = 0;
  std::size_t index = 0;
  for (const std::string_view offer : offers) {
    const int weight = weight_for(offer, *accept);
    if (weight > best_weight) {
      best = index;
      best_weight = weight;
    }
    ++index;
  }
  return best;
}

Problem not_acceptable(std::initializer_list<std::string_view> offers) {
  Problem problem;
  problem.status = 406;
  problem.code = "not-acceptable";
  problem.title = "Not acceptable";
  problem.detail = "This can be had as ";
  bool first = true;
  for (const std::string_view offer : offers) {
    if (!first) problem.detail += ", ";
    problem.detail += offer;
    first = false;
  }
  problem.detail += "; ask for one of them in Accept.";
  return problem;
}

}  // namespace keelson::http
