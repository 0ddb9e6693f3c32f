#include <gtest/gtest.h>
#include <cstdlib>
#include <future>
#include <chrono>
#include <cstdio>
#include "engine/engine.h"
#include "data/json.h"
using namespace sluice;
TEST(Smoke, One) {
  auto t0=std::chrono::steady_clock::now();
  auto ms=[&]{return std::chrono::duration<double,std::milli>(std::chrono::steady_clock::now()-t0).count();};
  auto e = open_engine({.file = std::getenv("SLUICE_TEST_MODEL")});
  ASSERT_TRUE(e) << e.error().to_string();
  printf("open %f ms %s\n", ms(), (*e)->info().description.c_str());
  auto ask=[&](ModelRequest r){
    std::promise<Result<ModelReply>> p; auto f=p.get_future();
    (*e)->submit(std::move(r), {.on_text=[&](std::string_view t){ static bool first=true; if(first){printf("first token %f\n",ms());first=false;} (void)t;}, .on_end=[&](auto r2){p.set_value(std::move(r2));}});
    return f;};
  ModelRequest r; r.messages={{.role="user",.content="What is the capital of France?"}}; r.sampling.max_tokens=40;
  std::promise<Result<ModelReply>> p; 
  (*e)->submit(r, {.on_text=[&](std::string_view t){printf("[%.*s]",(int)t.size(),t.data());}, .on_end=[&](auto r2){p.set_value(std::move(r2));}});
  auto a=p.get_future().get();
  printf("\n%f ms: %s\n", ms(), a? a->text.c_str(): a.error().to_string().c_str());
  auto s=[&](int n){
    auto b=std::chrono::steady_clock::now(); auto s0=*engine_stats(**e);
    std::vector<std::promise<Result<ModelReply>>> ps(n); int i=0; 
    for(auto&pp:ps){ ModelRequest q; q.messages={{.role="user",.content="Tell me a long story about number "+std::to_string(i++)}}; q.sampling.max_tokens=64;
      (*e)->submit(q,{.on_end=[&pp](auto r2){pp.set_value(std::move(r2));}});}
    for(auto&pp:ps){auto r2=pp.get_future().get(); if(!r2)printf("%s\n",r2.error().to_string().c_str());}
    double sec=std::chrono::duration<double>(std::chrono::steady_clock::now()-b).count(); auto s1=*engine_stats(**e);
    printf("n=%d %.2fs decode %.1f tok/s batches %lu shared %lu prefill %lu\n",n,sec,(s1.decode_tokens-s0.decode_tokens)/sec,s1.batches-s0.batches,s1.shared_tokens-s0.shared_tokens,s1.prefill_tokens-s0.prefill_tokens);
  };
  s(1); s(16); s(40);
}
#include "data/schema.h"
namespace sluice { __attribute__((weak)) std::string describe(std::span<const SchemaViolation>) { return "v"; } }
