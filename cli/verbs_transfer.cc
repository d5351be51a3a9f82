// import, export, cp as the user sees them; the work is in transfer_*.cc.
#include "cli/transfer.h"
#include "cli/verbs.h"

namespace tarn::cli {

void AddTransferVerbs(CommandLine& line) {
  auto import = std::make_shared<ImportOptions>();
  line.Add({"Lake", "import", "Bring local files and trees into the lake, all or nothing", "SOURCE... DEST", 2, kMany,
            Needs::kLake,
            "tarn import photos /photos            # photos becomes /photos\n"
            "tarn import a.csv b.csv /tables/      # into a directory that exists\n"
            "tarn import --replace photos /        # swaps the old /photos for the new one"},
           [import](Context& context, const Operands& operands) { return Import(context, *import, operands); })
      .Flag("--replace", &import->replace, "replace what is in its place, in one step")
      .Flag("--dry-run", &import->dry_run, "say what would be imported and import nothing");

  auto out = std::make_shared<ExportOptions>();
  line.Add({"Lake", "export", "Write a file or tree of the lake to a local directory", "PATH DEST", 2, 2,
            Needs::kLakeToRead,
            "tarn export /photos ./photos-copy\n"
            "tarn export --at monday /notes /tmp/monday"},
           [out](Context& context, const Operands& operands) { return Export(context, *out, operands); })
      .Flag("--force", &out->force, "overwrite files and merge into directories that are there")
      .Flag("--no-xattrs", &out->no_xattrs, "leave extended attributes out")
      .Option("--at", &out->at, "SNAPSHOT", "as of a named snapshot");

  auto copy = std::make_shared<CopyOptions>();
  line.Add({"Change", "cp", "Copy within the lake, also out of a snapshot", "SOURCE... DEST", 2, kMany, Needs::kLake,
            "tarn cp /a.txt /b.txt\n"
            "tarn cp -r /photos /photos-2\n"
            "tarn cp -a --at monday /notes /notes-as-of-monday"},
           [copy](Context& context, const Operands& operands) {
             CopyOptions options = *copy;
             options.recursive = options.recursive || options.archive;
             return Copy(context, options, operands);
           })
      .Flag("-r,-R,--recursive", &copy->recursive, "directories with all they hold")
      .Flag("-a,--archive", &copy->archive, "-r, and keep owners, times, attributes and hard links")
      .Flag("-f,--force", &copy->force, "replace what is there")
      .Flag("--dry-run", &copy->dry_run, "say what would be copied and copy nothing")
      .Option("--at", &copy->at, "SNAPSHOT", "read the sources as of a named snapshot");
}

}  // namespace tarn::cli
