// The signer against the examples in Amazon's document "Authenticating Requests: Using the Authorization Header (AWS
// Signature Version 4)", and the encodings below it.
#include "backends/s3/signer.h"

#include <gtest/gtest.h>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kMay24 = 1369353600;  // 2013-05-24T00:00:00Z

Credentials Example() {
  Credentials out;
  out.access_key = "AKIAIOSFODNN7EXAMPLE";
  out.secret_key = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  return out;
}

std::string Signature(const std::string& method, const std::string& path, const std::string& query,
                      HttpHeaders headers, const std::string& payload = "") {
  Signer signer("us-east-1");
  signer.Sign(Example(), kMay24, method, "examplebucket.s3.amazonaws.com", path, query, payload, &headers);
  const std::string authorization(FindHeader(headers, "authorization"));
  EXPECT_TRUE(
      authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                                "aws4_request,SignedHeaders="))
      << authorization;
  return authorization.substr(authorization.rfind('=') + 1);
}

TEST(SignerTest, GetObject) {
  EXPECT_EQ(Signature("GET", "/test.txt", "", {{"range", "bytes=0-9"}}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SignerTest, PutObject) {
  EXPECT_EQ(Signature("PUT", "/test%24file.text", "",
                      {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                      "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SignerTest, GetBucketLifecycle) {
  EXPECT_EQ(Signature("GET", "/", CanonicalQuery({{"lifecycle", ""}}), {}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(SignerTest, ListObjects) {
  EXPECT_EQ(Signature("GET", "/", CanonicalQuery({{"prefix", "J"}, {"max-keys", "2"}}), {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SignerTest, SessionTokenIsSentAndSigned) {
  Credentials session = Example();
  session.session_token = Secret("token+of/session==");
  HttpHeaders headers;
  Signer signer("us-east-1");
  signer.Sign(session, kMay24, "GET", "host", "/", "", "", &headers);
  EXPECT_EQ(FindHeader(headers, "x-amz-security-token"), "token+of/session==");
  EXPECT_NE(FindHeader(headers, "authorization").find("x-amz-date;x-amz-security-token,"), std::string_view::npos);
}

// The derived key is kept for a day and a secret; another of either makes another signature, and the first comes
// back.
TEST(SignerTest, KeptKeyFollowsDayAndSecret) {
  Signer signer("us-east-1");
  const auto sign = [&](const Credentials& credentials, uint64_t seconds) {
    HttpHeaders headers;
    signer.Sign(credentials, seconds, "GET", "host", "/", "", "", &headers);
    return std::string(FindHeader(headers, "authorization"));
  };
  const std::string first = sign(Example(), kMay24);
  Credentials other = Example();
  other.secret_key = Secret("another");
  EXPECT_NE(sign(other, kMay24), first);
  EXPECT_NE(sign(Example(), kMay24 + 86400), first);
  EXPECT_EQ(sign(Example(), kMay24), first);
}

TEST(EncodingTest, PercentEncodesAsTheSignatureWants) {
  EXPECT_EQ(PercentEncode("a b+c%/~._-\xc3\xa9", false), "a%20b%2Bc%25/~._-%C3%A9");
  EXPECT_EQ(PercentEncode("a/b", true), "a%2Fb");
  EXPECT_EQ(CanonicalQuery({{"b", "/"}, {"a", ""}, {"a-b", "1"}}), "a=&a-b=1&b=%2F");
}

TEST(EncodingTest, PercentDecodes) {
  EXPECT_EQ(PercentDecode("a%20b+%2b", true), "a b +");
  EXPECT_EQ(PercentDecode("a+b", false), "a+b");
  for (const char* bad : {"%", "%1", "a%", "%g0", "%0g"}) EXPECT_EQ(PercentDecode(bad, false), std::nullopt) << bad;
}

TEST(EncodingTest, Dates) {
  EXPECT_EQ(BasicDate(kMay24), "20130524T000000Z");
  EXPECT_EQ(BasicDate(951827696), "20000229T123456Z");  // a leap day of a century
  EXPECT_EQ(ParseDate("Fri, 24 May 2013 00:00:00 GMT"), kMay24);
  EXPECT_EQ(ParseDate("2013-05-24T00:00:00Z"), kMay24);
  EXPECT_EQ(ParseDate("2000-02-29T12:34:56.789Z"), 951827696u);
  for (const char* bad :
       {"", "yesterday", "2013-13-01T00:00:00Z", "Fri, 24 Foo 2013 00:00:00 GMT", "1969-12-31T23:59:59Z"}) {
    EXPECT_EQ(ParseDate(bad), std::nullopt) << bad;
  }
  for (uint64_t day = 0; day < 60000; day += 17) {
    const std::string basic = BasicDate(day * 86400 + 3661);
    EXPECT_EQ(ParseDate(basic.substr(0, 4) + "-" + basic.substr(4, 2) + "-" + basic.substr(6, 2) + "T01:01:01Z"),
              day * 86400 + 3661);
  }
}

TEST(EncodingTest, Numbers) {
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "0x1", "99999999999999999999"}) {
    EXPECT_EQ(ParseNumber(bad), std::nullopt) << bad;
  }
}

TEST(EncodingTest, Digests) {
  EXPECT_EQ(Hex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Md5("")), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Base64("a"), "YQ==");
  EXPECT_EQ(Base64(""), "");
}

}  // namespace
}  // namespace tarn::s3
