#include "engine/store/commit.h"

namespace keelson {

bool ExpectedVersion::met_by(Version current) const {
  switch (kind) {
    case Kind::any: return true;
    case Kind::none: return current == Version(0);
    case Kind::exists: return current != Version(0);
    case Kind::exact: return current == version;
  }
  return false;
}

std::string ExpectedVersion::to_string() const {
  switch (kind) {
    case Kind::any: return "any";
    case Kind::none: return "none";
    case Kind::exists: return "exists";
    case Kind::exact: return std::to_string(version.value);
  }
  return "any";
}

}  // namespace keelson
