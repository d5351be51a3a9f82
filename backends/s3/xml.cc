#include "backends/s3/xml.h"

#include <expat.h>

#include <memory>
#include <utility>

namespace tarn::s3 {
namespace {

constexpr size_t kMaxDepth = 16;             // S3's answers have 5
constexpr size_t kMaxTextBytes = 64u << 20;  // expat counts in int

struct Builder {
  XML_Parser parser = nullptr;
  std::vector<XmlElement> open;  // from the root to where we are
  XmlElement root;
  const char* refused = nullptr;

  void Refuse(const char* why) {
    refused = why;
    XML_StopParser(parser, XML_FALSE);
  }
};

void XMLCALL Begin(void* data, const XML_Char* name, const XML_Char**) {
  auto* builder = static_cast<Builder*>(data);
  if (builder->open.size() == kMaxDepth) return builder->Refuse("it is nested too deep");
  builder->open.push_back({name, {}, {}});
}

void XMLCALL End(void* data, const XML_Char*) {
  auto* builder = static_cast<Builder*>(data);
  if (builder->refused != nullptr) return;  // the end of an empty element that was refused
  XmlElement done = std::move(builder->open.back());
  builder->open.pop_back();
  if (builder->open.empty()) {
    builder->root = std::move(done);
  } else {
    builder->open.back().children.push_back(std::move(done));
  }
}

void XMLCALL Text(void* data, const XML_Char* text, int n) {
  auto* builder = static_cast<Builder*>(data);
  if (!builder->open.empty()) builder->open.back().text.append(text, n);
}

void XMLCALL DocumentType(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) {
  static_cast<Builder*>(data)->Refuse("it brings a document type");
}

}  // namespace

const XmlElement* XmlElement::Child(std::string_view child) const {
  for (const XmlElement& element : children) {
    if (element.name == child) return &element;
  }
  return nullptr;
}

std::string_view XmlElement::Text(std::string_view child) const {
  const XmlElement* found = Child(child);
  return found == nullptr ? std::string_view() : std::string_view(found->text);
}

Result<XmlElement> ParseXml(std::string_view text) {
  if (text.size() > kMaxTextBytes) return Status::Corruption("the XML has " + std::to_string(text.size()) + " bytes");
  // UTF-8 whatever the text says of itself: S3 answers nothing else.
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(XML_ParserCreate("UTF-8"),
                                                                            &XML_ParserFree);
  if (parser == nullptr) return Status::Unavailable("no memory to parse XML: retry");
  Builder builder;
  builder.parser = parser.get();
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), Begin, End);
  XML_SetCharacterDataHandler(parser.get(), Text);
  XML_SetStartDoctypeDeclHandler(parser.get(), DocumentType);
  if (XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE) == XML_STATUS_OK) {
    return std::move(builder.root);
  }
  const std::string why =
      builder.refused != nullptr ? builder.refused : XML_ErrorString(XML_GetErrorCode(parser.get()));
  return Status::Corruption("the XML is bad at byte " + std::to_string(XML_GetCurrentByteIndex(parser.get())) + ": " +
                            why);
}

}  // namespace tarn::s3
