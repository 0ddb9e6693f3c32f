// ggml's own cases of the attention op (its test-backend-ops, which brings a main of its own) with
// our kernel plugged in: it compares the CPU backend with that backend's reference mode, which we
// leave to ggml. Part of the cases; all of them, minutes, with SLUICE_TEST_LONG.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine/attention/attention.h"

int ggml_op_cases_main(int argc, char** argv);

int main(int argc, char** argv) {
  sluice::install_attention();
  std::vector<const char*> arguments = {argv[0], "test", "-b", "CPU", "-o", "FLASH_ATTN_EXT"};
  if (argc > 1) {
    arguments.assign(argv, argv + argc);
  } else if (!std::getenv("SLUICE_TEST_LONG")) {
    // Two head sizes; types that are ours and one that is not; shapes that take little time.
    arguments.insert(arguments.end(),
                     {"-p",
                      "hsk=(64|128),.*(kv=113,nb=(1|75)|kv=512,nb=3),mask=1,.*max_bias=0.*"
                      "prec=f32,type_K=(f16|q8_0|q4_0),.*kv_view=1"});
  }
  arguments.push_back(nullptr);
  int status = ggml_op_cases_main(static_cast<int>(arguments.size()) - 1,
                                  const_cast<char**>(arguments.data()));
  const sluice::AttentionStats stats = sluice::attention_stats();
  std::printf("%llu computed by our kernel\n", static_cast<unsigned long long>(stats.ops));
  if (stats.ops == 0) {
    std::fprintf(stderr, "none of the cases was computed by our kernel\n");
    return 1;
  }
  return status;
}
