// The timeline of a run: a lane for each step, a bar for each task, its waiting lighter. Places in
// time are percentages, so that zooming in widens the lanes and nothing else. A run with more tasks
// than can be told apart is drawn as how many worked and waited at once.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "cli/explain/estimate_text.h"
#include "cli/explain/html_parts.h"
#include "cli/numbers_text.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostRows = 24;  // of bars in a lane
constexpr int kBarHeight = 9;
constexpr int kBarGap = 2;
constexpr int kLanePadding = 6;
constexpr int kAreaHeight = 46;
constexpr std::size_t kBuckets = 300;
constexpr double kNarrowest = 0.06;  // percent: a bar is seen

struct Bar {
  std::uint32_t task = 0;
  std::int64_t ready_ns = 0, start_ns = 0, end_ns = 0;
};

struct Lane {
  std::uint32_t step = 0;
  std::vector<Bar> bars;
  std::int64_t worked_ns = 0;
};

class Timeline {
 public:
  explicit Timeline(const RunProfile& profile)
      : profile_(profile), critical_(profile.critical.begin(), profile.critical.end()) {
    begin_ns_ = profile.start_ns;
    length_ns_ = std::max<std::int64_t>(1, profile.end_ns - profile.start_ns);
    collect();
  }

  std::string html() {
    if (lanes_.empty()) return "";
    std::string out =
        "<h2>Timeline</h2>\n<div class=\"controls\"><button type=\"button\" "
        "data-zoom=\"0.5\" aria-label=\"zoom out\">&minus;</button><button "
        "type=\"button\" data-zoom=\"2\" aria-label=\"zoom in\">+</button>"
        "<span class=\"legend\"><i class=\"work\"></i>working <i class=\"wait\"></i>"
        "waiting <i class=\"crit\"></i>critical path</span></div>\n";
    std::string names = "<div class=\"names\"><div class=\"tick\"></div>";
    std::string lanes = ticks();
    for (const Lane& lane : lanes_) {
      const auto [height, drawing] = bars_ <= kMostBars ? bars_of(lane) : area_of(lane);
      const std::string& id = profile_.realized.steps[lane.step];
      names += fmt::format("<div style=\"height:{0}px;line-height:{0}px\" title=\"{1}\">{1}</div>",
                           height, html_escaped(id));
      lanes += drawing;
    }
    out += "<div class=\"timeline\">" + names +
           "</div><div class=\"scroll\" tabindex=\"0\">"
           "<div class=\"lanes\">" +
           lanes + "</div></div></div>\n";
    out += "<p class=\"hover\" aria-live=\"polite\">Point at a bar to see its task.</p>\n";
    if (dropped_ > 0) {
      out += fmt::format("<p class=\"hint\">{} more steps worked for less.</p>\n", dropped_);
    }
    return out;
  }

 private:
  void collect() {
    const std::vector<std::int64_t> ready = ready_times(profile_.realized);
    std::map<std::uint32_t, Lane> lanes;
    for (std::uint32_t at = 0; at < profile_.realized.tasks.size(); ++at) {
      const RealizedTask& task = profile_.realized.tasks[at];
      if (task.step == kNoTask || task.held_until != kNoTask) continue;
      if (task.end_ns - ready[at] <= 0) continue;
      Lane& lane = lanes[task.step];
      lane.step = task.step;
      lane.bars.push_back({at, ready[at], task.start_ns, task.end_ns});
      lane.worked_ns += task.end_ns - task.start_ns;
      ++bars_;
    }
    for (auto& [step, lane] : lanes) lanes_.push_back(std::move(lane));
    if (lanes_.size() <= kMostLanes) return;
    dropped_ = lanes_.size() - kMostLanes;
    std::ranges::sort(lanes_, std::greater<>(), &Lane::worked_ns);
    for (std::size_t at = kMostLanes; at < lanes_.size(); ++at) bars_ -= lanes_[at].bars.size();
    lanes_.resize(kMostLanes);
    std::ranges::sort(lanes_, {}, &Lane::step);
  }

  double percent(std::int64_t ns) const {
    return 100.0 * static_cast<double>(ns) / static_cast<double>(length_ns_);
  }

  std::string ticks() const {
    constexpr int kTicks = 8;
    std::string out = "<svg class=\"tick\" height=\"20\">";
    for (int at = 0; at < kTicks; ++at) {
      const std::int64_t ns = length_ns_ * at / kTicks;
      out += fmt::format("<text x=\"{:.3f}%\" y=\"14\">{}</text>", percent(ns),
                         at == 0 ? "0" : seconds_text(ns));
    }
    return out + "</svg>";
  }

  std::string bar(const char* kind, std::int64_t from, std::int64_t to, int y) const {
    return fmt::format(
        "<rect class=\"{}\" x=\"{:.3f}%\" y=\"{}\" width=\"{:.3f}%\" height=\"{}\"/>", kind,
        percent(from - begin_ns_), y, std::max(kNarrowest, percent(to - from)), kBarHeight);
  }

  std::string title_of(const Bar& bar) const {
    const std::string& label = profile_.labels[bar.task];
    const std::string& name =
        label.empty() ? profile_.realized.steps[profile_.realized.tasks[bar.task].step] : label;
    std::string text = fmt::format("{}: {} from {}", name, seconds_text(bar.end_ns - bar.start_ns),
                                   seconds_text(bar.start_ns - begin_ns_));
    const std::string waited = length_text(seconds_of(bar.start_ns - bar.ready_ns));
    if (!waited.empty()) text += ", after waiting " + waited;
    return html_escaped(text);
  }

  // Bars that overlap stand below each other, as far as there is room.
  std::pair<int, std::string> bars_of(const Lane& lane) const {
    std::vector<Bar> bars = lane.bars;
    std::ranges::sort(bars, [](const Bar& a, const Bar& b) {
      return std::pair(a.ready_ns, a.task) < std::pair(b.ready_ns, b.task);
    });
    std::vector<std::int64_t> free_from;
    std::string drawn;
    for (const Bar& one : bars) {
      auto row =
          std::ranges::find_if(free_from, [&](std::int64_t at) { return at <= one.ready_ns; });
      if (row == free_from.end() && free_from.size() < kMostRows) {
        row = free_from.insert(free_from.end(), 0);
      } else if (row == free_from.end()) {
        row = std::ranges::min_element(free_from);
      }
      *row = one.end_ns;
      const int y =
          kLanePadding + static_cast<int>(row - free_from.begin()) * (kBarHeight + kBarGap);
      drawn += critical_.contains(one.task) ? "<g class=\"critical\"><title>" : "<g><title>";
      drawn += title_of(one) + "</title>";
      if (one.start_ns > one.ready_ns) drawn += bar("wait", one.ready_ns, one.start_ns, y);
      drawn += bar("work", one.start_ns, one.end_ns, y) + "</g>";
    }
    const int height =
        2 * kLanePadding + static_cast<int>(free_from.size()) * (kBarHeight + kBarGap) - kBarGap;
    return {height, fmt::format("<svg class=\"lane\" height=\"{}\">{}</svg>\n", height, drawn)};
  }

  // How many work and wait, on average over each part of the time.
  struct Load {
    std::vector<double> working = std::vector<double>(kBuckets);
    std::vector<double> waiting = std::vector<double>(kBuckets);
    double most = 0;
  };

  void add_load(std::vector<double>& into, std::int64_t from, std::int64_t to) const {
    const double bucket = static_cast<double>(length_ns_) / kBuckets;
    double at = static_cast<double>(from - begin_ns_);
    const double end = static_cast<double>(to - begin_ns_);
    while (at < end) {
      const auto index =
          std::min(kBuckets - 1, static_cast<std::size_t>(std::max(0.0, at / bucket)));
      const double edge = std::max(bucket * static_cast<double>(index + 1), at + bucket * 1e-6);
      into[index] += (std::min(edge, end) - at) / bucket;
      if (index == kBuckets - 1) break;
      at = edge;
    }
  }

  std::pair<int, std::string> area_of(const Lane& lane) const {
    Load load;
    for (const Bar& one : lane.bars) {
      add_load(load.waiting, one.ready_ns, one.start_ns);
      add_load(load.working, one.start_ns, one.end_ns);
    }
    for (std::size_t at = 0; at < kBuckets; ++at) {
      load.most = std::max(load.most, load.working[at] + load.waiting[at]);
    }
    if (load.most <= 0) load.most = 1;
    std::vector<double> both(kBuckets);
    for (std::size_t at = 0; at < kBuckets; ++at) both[at] = load.working[at] + load.waiting[at];
    const bool critical = std::ranges::any_of(
        lane.bars, [this](const Bar& one) { return critical_.contains(one.task); });
    const std::string title =
        fmt::format("{}: {} tasks, at most {} at once", profile_.realized.steps[lane.step],
                    count_text(lane.bars.size()), amount_text(load.most * profile_.one_of));
    return {kAreaHeight,
            fmt::format("<svg class=\"lane\" height=\"{}\" viewBox=\"0 0 {} {}\" "
                        "preserveAspectRatio=\"none\"><g{}><title>{}</title>{}{}</g></svg>\n",
                        kAreaHeight, kBuckets, kAreaHeight, critical ? " class=\"critical\"" : "",
                        html_escaped(title), area("wait", both, load.most),
                        area("work", load.working, load.most))};
  }

  static std::string area(const char* kind, const std::vector<double>& heights, double most) {
    std::string path = fmt::format("M0 {}", kAreaHeight);
    std::string last;
    for (std::size_t at = 0; at < heights.size(); ++at) {
      std::string y = fmt::format("{:.1f}", kAreaHeight - heights[at] / most * (kAreaHeight - 4));
      if (y == last) continue;
      if (!last.empty()) path += fmt::format("L{} {}", at, last);
      path += fmt::format("L{} {}", at, y);
      last = std::move(y);
    }
    path += fmt::format("L{} {}", heights.size(), last);
    return fmt::format("<path class=\"{}\" d=\"{}L{} {}z\"/>", kind, path, kBuckets, kAreaHeight);
  }

  const RunProfile& profile_;
  std::set<std::uint32_t> critical_;
  std::vector<Lane> lanes_;
  std::size_t bars_ = 0;
  std::size_t dropped_ = 0;
  std::int64_t begin_ns_ = 0;
  std::int64_t length_ns_ = 1;
};

}  // namespace

std::string timeline_part(const RunProfile& profile) { return Timeline(profile).html(); }

}  // namespace sluice::cli
