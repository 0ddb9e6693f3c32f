// The files that `sluice init` writes: a plan that runs as it stands, and the notes that it reads.
#pragma once

#include <array>
#include <string_view>

namespace sluice::cli {

struct StarterFile {
  std::string_view name;
  std::string_view text;
};

inline constexpr std::string_view kStarterPlan =
    R"(# A plan to start from. Check it, look at it, run it:
#   sluice check plan.yaml
#   sluice explain plan.yaml
#   sluice run plan.yaml
#   sluice run plan.yaml --param summarize=true      (asks a language model, once per note)
sluice: 1

params:
  folder: {type: string, default: notes}
  summarize: {type: boolean, default: false}

tools:
  files: {kind: files, root: .}   # may read below this folder, and write nothing

steps:
  # The names of the notes. Steps run as soon as what they read is there.
  note:
    tool: files.glob
    with: {pattern: "{{ params.folder }}/*.txt"}

  # One task per note; they run side by side.
  text:
    for_each: "{{ steps.note.output }}"
    tool: files.read
    with: {path: "{{ item }}"}

  # Plain Python: counts the words of note 2 while note 3 is still being read.
  words:
    for_each: "{{ steps.text.output }}"
    code: |
      def main(text):
        words = text.split()
        return {"words": len(words), "longest": max(words, key=len, default="")}
    with: {text: "{{ item }}"}
    output:
      type: object
      required: [words, longest]
      properties: {words: {type: integer}, longest: {type: string}}

  # Only with --param summarize=true; otherwise it is skipped.
  summary:
    for_each: "{{ steps.text.output }}"
    when: "{{ params.summarize }}"
    llm: default
    with:
      max_tokens: 40
      messages:
        - {role: user, content: "Say in one short sentence what this note is about:\n{{ item }}"}

  # One row per note. A missing summary is stated here: it becomes an empty text.
  row:
    for_each: "{{ steps.note.output }}"
    join: {summary: {skipped: {value: ""}}}
    value:
      note: "{{ item }}"
      words: "{{ steps.words.output[index].words }}"
      longest: "{{ steps.words.output[index].longest }}"
      summary: "{{ steps.summary.output[index] }}"

result: |
  {% for r in steps.row.output %}
  {{ r.note }}: {{ r.words }} words, the longest is "{{ r.longest }}" {{ r.summary }}
  {% endfor %}
)";

inline constexpr std::array<StarterFile, 3> kStarterFiles{{
    {"plan.yaml", kStarterPlan},
    {"notes/monday.txt",
     "Met the team about the new search page. It is slow when the list of results is long; we "
     "agreed "
     "to load twenty at a time.\n"},
    {"notes/tuesday.txt",
     "Wrote the first version of the paging. The tests of the old page still pass. Tomorrow: "
     "measure "
     "it with real queries.\n"},
}};

}  // namespace sluice::cli
