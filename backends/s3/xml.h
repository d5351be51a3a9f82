// The little XML that S3 answers, as a tree. For answers.cc; xml.cc is expat's only home.
//
// Safe on hostile bytes: a document type is refused (so there are no entities to expand), depth is bounded, and
// memory by a small factor of the text. Attributes are ignored; text beside child elements is kept as the element's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tarn/status.h"

namespace tarn::s3 {

struct XmlElement {
  std::string name;
  std::string text;
  std::vector<XmlElement> children;

  // The first child of that name, or null; and its text, or "".
  const XmlElement* Child(std::string_view child) const;
  std::string_view Text(std::string_view child) const;
};

// The root element. Corruption, one line with the place, when it is not well-formed or refused.
Result<XmlElement> ParseXml(std::string_view text);

}  // namespace tarn::s3
