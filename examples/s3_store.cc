// A store in an S3 bucket. Credentials come from the environment or ~/.aws, as for any S3 program (docs/s3.md).
//   ./s3_store 's3://bucket/prefix'          AWS;   elsewhere:   's3://bucket/prefix?endpoint=http://127.0.0.1:8000'
#include <tarn/db.h>

#include <cstdio>

tarn::Status Use(const char* url) {
  TARN_ASSIGN(auto db, tarn::DB::Open({}, url));
  for (int i = 0; i < 1000; ++i) {  // bulk work gathers and is sent together
    TARN_TRY(db->Put("row/" + std::to_string(i), std::to_string(i * i), tarn::Durability::kNone));
  }
  TARN_TRY(db->SyncWal());                                     // now it is all in the bucket
  TARN_TRY(db->Put("done", "yes", tarn::Durability::kPower));  // one PUT; Fenced if somebody else took the store
  std::string value;
  TARN_TRY(db->Get("row/31", &value));
  std::printf("row/31 = %s\n", value.c_str());
  return db->Close();
}

int main(int argc, char** argv) {
  const tarn::Status status = argc == 2 ? Use(argv[1]) : tarn::Status::Invalid("usage: s3_store s3://BUCKET/PREFIX");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
