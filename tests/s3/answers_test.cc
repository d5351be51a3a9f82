// What S3's answers say, and what hostile ones are refused for.
#include "backends/s3/answers.h"

#include <gtest/gtest.h>

#include "backends/s3/xml.h"

namespace tarn::s3 {
namespace {

TEST(XmlTest, Tree) {
  const auto root = ParseXml("<?xml version='1.0'?>\n<A x='1'>t<B>one</B><B>two</B><C/>u &amp; v</A>");
  ASSERT_TRUE(root.ok()) << root.status().ToString();
  EXPECT_EQ(root->name, "A");
  EXPECT_EQ(root->text, "tu & v");
  ASSERT_EQ(root->children.size(), 3u);
  EXPECT_EQ(root->Text("B"), "one");
  EXPECT_EQ(root->children[1].text, "two");
  EXPECT_EQ(root->Child("D"), nullptr);
  EXPECT_EQ(root->Text("D"), "");
}

TEST(XmlTest, HostileBytesAreRefused) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<a>";
  const std::string bomb =
      "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;'>]><a>&c;&c;&c;&c;</a>";
  for (const std::string& bad :
       {std::string(), std::string("<a>"), std::string("<a></b>"), std::string("<a/><b/>"), std::string("text"),
        std::string("<a>\xff</a>"), std::string("<a>&nbsp;</a>"), std::string("<a>\0</a>", 8), deep, bomb,
        std::string("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>")}) {
    const auto root = ParseXml(bad);
    ASSERT_FALSE(root.ok()) << bad.substr(0, 60);
    EXPECT_EQ(root.status().code(), Code::kCorruption);
    EXPECT_EQ(root.status().message().find('\n'), std::string_view::npos);
  }
  EXPECT_NE(ParseXml(bomb).status().message().find("document type"), std::string_view::npos);
  EXPECT_NE(ParseXml(deep).status().message().find("too deep"), std::string_view::npos);
}

std::string Listing(const std::string& inside) {
  return "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>" + inside + "</ListBucketResult>";
}

TEST(AnswersTest, Listing) {
  const auto page =
      ParseListing(Listing("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                           "<Contents><Key>a%20b+c%2Bd</Key><Size>5</Size><ETag>&quot;e1&quot;</ETag></Contents>"
                           "<Contents><Key>z</Key><Size>0</Size><ETag>e2</ETag></Contents>"));
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, "a b c+d");
  EXPECT_EQ(page->objects[0].size, 5u);
  EXPECT_EQ(page->objects[0].etag, "e1");
  EXPECT_EQ(page->objects[1].etag, "e2");
  EXPECT_TRUE(page->truncated);
  // A server that did not encode, though it was asked to.
  const auto plain = ParseListing(Listing("<Contents><Key>50%+</Key><Size>1</Size></Contents>"));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->objects[0].key, "50%+");
  EXPECT_FALSE(plain->truncated);
}

TEST(AnswersTest, BadListings) {
  for (const std::string& bad : {Listing("<Contents><Key>a</Key></Contents>"),                 // no size
                                 Listing("<Contents><Key></Key><Size>1</Size></Contents>"),    // no key
                                 Listing("<Contents><Key>a</Key><Size>-1</Size></Contents>"),  // no number
                                 Listing("<IsTruncated>true</IsTruncated>"),                   // no way on
                                 Listing("<EncodingType>url</EncodingType><Contents><Key>%x</Key><Size>1</Size>"
                                         "</Contents>"),
                                 std::string("<html>Sign in</html>"), std::string("sign in")}) {
    const auto page = ParseListing(bad);
    ASSERT_FALSE(page.ok()) << bad;
    EXPECT_EQ(page.status().code(), Code::kCorruption);
  }
}

TEST(AnswersTest, Errors) {
  HttpResponse response;
  response.status = 301;
  response.headers = {{"x-amz-bucket-region", "eu-west-1"}};
  S3Error error = ParseError(response);
  EXPECT_EQ(error.http_status, 301);
  EXPECT_EQ(error.code, "");
  EXPECT_EQ(error.region, "eu-west-1");
  response.body =
      "<Error><Code>PermanentRedirect</Code><Message>two\nlines</Message><Region>eu-north-1</Region></Error>";
  error = ParseError(response);
  EXPECT_EQ(error.code, "PermanentRedirect");
  EXPECT_EQ(error.message, "two lines");
  EXPECT_EQ(error.region, "eu-north-1");
  EXPECT_EQ(error.http_status, 301);
  response.body = "<Error><Message>" + std::string(100'000, 'x') + "</Message></Error>";
  EXPECT_EQ(ParseError(response).message.size(), 200u);
}

TEST(AnswersTest, SuccessThatIsAnError) {
  HttpResponse response;
  response.status = 200;
  response.body = "<Error><Code>InternalError</Code></Error>";
  auto result = ParseResultOrError(response);
  ASSERT_TRUE(result.ok());
  ASSERT_TRUE(result->error.has_value());
  EXPECT_EQ(result->error->code, "InternalError");
  response.body = "<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag></CompleteMultipartUploadResult>";
  result = ParseResultOrError(response);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->error.has_value());
  EXPECT_EQ(result->etag, "e-2");
  response.body = "<Comp";
  EXPECT_FALSE(ParseResultOrError(response).ok());
}

TEST(AnswersTest, OthersDocuments) {
  EXPECT_EQ(*ParseUploadId("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"),
            "u");
  EXPECT_FALSE(ParseUploadId("<InitiateMultipartUploadResult/>").ok());
  EXPECT_TRUE(ParseDeleteMany("<DeleteResult/>")->empty());
  const auto failed = ParseDeleteMany(
      "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>k</Key><Code>InternalError</Code></Error>"
      "<Error><Key>gone</Key><Code>NoSuchKey</Code></Error></DeleteResult>");
  EXPECT_EQ(*failed, std::vector<std::string>{"k"});
  EXPECT_FALSE(ParseDeleteMany("<DeleteResult><Error><Code>InternalError</Code></Error></DeleteResult>").ok());
}

TEST(AnswersTest, Uploads) {
  const std::string one = "<Upload><Key>a%2Bb</Key><UploadId>1</UploadId></Upload>";
  const auto document = [](const std::string& inner) {
    return "<ListMultipartUploadsResult><EncodingType>url</EncodingType>" + inner + "</ListMultipartUploadsResult>";
  };
  const auto page = ParseUploads(document(one + "<IsTruncated>false</IsTruncated>"), "", "");
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  ASSERT_EQ(page->uploads.size(), 1u);
  EXPECT_EQ(page->uploads[0].key, "a+b");
  EXPECT_EQ(page->uploads[0].id, "1");
  EXPECT_FALSE(page->truncated);
  const std::string more = "<IsTruncated>true</IsTruncated><NextKeyMarker>a%2Bb</NextKeyMarker>";
  const auto next = ParseUploads(document(one + more + "<NextUploadIdMarker>1</NextUploadIdMarker>"), "", "");
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next->next_key, "a+b");
  EXPECT_EQ(next->next_id, "1");
  EXPECT_FALSE(ParseUploads(document(one + more + "<NextUploadIdMarker>1</NextUploadIdMarker>"), "a+b", "1").ok())
      << "the same page again and again";
  EXPECT_FALSE(ParseUploads(document(more), "", "").ok()) << "more behind nothing";
  EXPECT_FALSE(ParseUploads(document("<Upload><Key>a</Key></Upload>"), "", "").ok());
}

TEST(AnswersTest, ContentRange) {
  const auto range = ParseContentRange("bytes 5-9/100");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->first, 5u);
  EXPECT_EQ(range->last, 9u);
  EXPECT_EQ(range->size, 100u);
  for (const char* bad :
       {"", "bytes */100", "bytes 5-9/*", "bytes 9-5/100", "bytes 5-100/100", "5-9/100", "bytes 5/9-100"}) {
    EXPECT_FALSE(ParseContentRange(bad).has_value()) << bad;
  }
}

TEST(AnswersTest, EtagsWithAndWithoutQuotes) {
  EXPECT_EQ(UnquoteEtag("\"a\""), "a");
  EXPECT_EQ(UnquoteEtag("a"), "a");
  EXPECT_EQ(UnquoteEtag("\""), "\"");
  EXPECT_EQ(UnquoteEtag(""), "");
}

}  // namespace
}  // namespace tarn::s3
