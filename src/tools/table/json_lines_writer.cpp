#include "tools/table/json_lines_writer.h"

#include <utility>

#include "data/json.h"
#include "tools/table/blob_cells.h"
#include "tools/table/output_file.h"

namespace sluice {
namespace {

class JsonLinesWriter final : public TableWriter {
 public:
  explicit JsonLinesWriter(OutputFile file) : file_(std::move(file)) {}
  Result<void> row(const Value& row) override {
    return file_.write(to_json(with_blobs_as_text(row)) + "\n");
  }
  Result<void> end() override { return file_.commit(); }

 private:
  OutputFile file_;
};

}  // namespace

Result<std::unique_ptr<TableWriter>> open_json_lines_writer(const std::filesystem::path& file,
                                                            std::string_view owner) {
  auto output = OutputFile::create(file, owner);
  if (!output) return std::unexpected(output.error());
  return std::make_unique<JsonLinesWriter>(std::move(*output));
}

}  // namespace sluice
