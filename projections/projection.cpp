#include "projections/projection.h"

#include <utility>

namespace keelson::projections {

Projection::Projection(std::string name, std::uint32_t version)
    : name_(std::move(name)), version_(version) {}

Projection& Projection::summary(std::string text) {
  summary_ = std::move(text);
  return *this;
}

Projection& Projection::schema(std::string sql) {
  schema_ += std::move(sql);
  return *this;
}

Projection& Projection::on(std::string stream_type, std::string type, Handler handler) {
  rules_.push_back({std::move(stream_type), std::move(type), std::move(handler)});
  return *this;
}

Projection& Projection::on(std::string stream_type, std::string type, std::string sql) {
  rules_.push_back({std::move(stream_type), std::move(type), std::move(sql)});
  return *this;
}

Projection& Projection::on_any_stream(std::string type, Handler handler) {
  rules_.push_back({std::nullopt, std::move(type), std::move(handler)});
  return *this;
}

Projection& Projection::on_any_stream(std::string type, std::string sql) {
  rules_.push_back({std::nullopt, std::move(type), std::move(sql)});
  return *this;
}

ProjectionRegistry& ProjectionRegistry::add(Projection projection) {
  projections_.push_back(std::move(projection));
  return *this;
}

}  // namespace keelson::projections
