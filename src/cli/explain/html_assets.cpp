// The page's style and script.
#include "cli/explain/html_parts.h"

namespace sluice::cli {

std::string_view page_style() {
  return R"css(
:root{--paper:#fff;--card:#f6f7f9;--ink:#1b1f24;--dim:#667080;--line:#d9dde3;--work:#2563eb;--wait:#2563eb55;
--critical:#c0392b;--good:#1a7f4b}
@media (prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1d2128;--ink:#e6e9ee;--dim:#98a2b0;
--line:#333a45;--work:#5b9dff;--wait:#5b9dff4d;--critical:#ff7a6b;--good:#4cc38a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:24px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:17px;margin:34px 0 6px}
header p,.hint,small{color:var(--dim)}
header p,.hint{margin:4px 0}
small{display:block;font-size:12px}
code{font:13px ui-monospace,monospace;background:var(--card);padding:1px 5px;border-radius:4px}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin:18px 0}
.fact{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;min-width:130px}
.fact b{display:block;font-size:20px;font-weight:650;font-variant-numeric:tabular-nums}
.fact span{color:var(--dim);font-size:13px}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;white-space:nowrap}
thead th{color:var(--dim);font-weight:500;font-size:13px}
.n{text-align:right}
tbody th{font-weight:600;position:sticky;left:0;background:var(--paper);max-width:46vw;overflow:hidden;
text-overflow:ellipsis}
tbody th small{font-weight:400;overflow:hidden;text-overflow:ellipsis}
tr.critical th{border-left:3px solid var(--critical)}
tr.failed th{color:var(--critical)}
.source{font-size:12px;padding:1px 8px;border-radius:9px;background:var(--card);border:1px solid var(--line)}
.source.history,.source.exact,.source.sample{color:var(--good)}
.graph svg{display:block}
.node rect{fill:var(--card);stroke:var(--line);stroke-width:1.3}
.node.critical rect{stroke:var(--critical);stroke-width:2.2}
.node text{fill:var(--dim);font-size:12px}
.node .id{fill:var(--ink);font-size:14px;font-weight:650}
.edge{fill:none;stroke:var(--dim);stroke-width:1.2;marker-end:url(#arrow)}
.edge.flow{stroke-width:2.6}
.edge.status,.edge.order,.edge.fallback,.edge.plan{stroke-dasharray:5 4}
#arrow path{fill:var(--dim)}
.controls{display:flex;gap:8px;align-items:center;flex-wrap:wrap;margin:6px 0}
button{font:inherit;width:36px;height:32px;border:1px solid var(--line);border-radius:7px;background:var(--card);
color:var(--ink);cursor:pointer}
.legend{color:var(--dim);font-size:13px;margin-left:8px}
.legend i{display:inline-block;width:18px;height:9px;border-radius:2px;margin:0 4px 0 10px}
i.work{background:var(--work)}i.wait{background:var(--wait)}i.crit{border:2px solid var(--critical)}
.timeline{display:flex;border:1px solid var(--line);border-radius:10px;overflow:hidden}
.names{flex:0 0 auto;width:clamp(84px,22vw,220px);border-right:1px solid var(--line);background:var(--card)}
.names div{padding:0 10px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-size:13px;
border-bottom:1px solid var(--line)}
.names .tick,svg.tick{height:21px}
.timeline .scroll{flex:1 1 auto}
.lanes{min-width:100%}
.lanes svg{display:block;width:100%;border-bottom:1px solid var(--line)}
.tick text{fill:var(--dim);font-size:11px}
.names div,.lanes svg{box-sizing:content-box}
.lanes .work{fill:var(--work)}.lanes .wait{fill:var(--wait)}
.critical>.work{stroke:var(--critical);stroke-width:2}
.lanes g:hover>.work{opacity:.7}
.hover{min-height:24px;color:var(--dim);margin:6px 0;overflow-wrap:anywhere}
.passes{list-style:none;padding:0;margin:0}
.passes li{padding:8px 0;border-bottom:1px solid var(--line)}
.passes p{margin:2px 0;overflow-wrap:anywhere}
.refused{color:var(--dim)}.saved{color:var(--good)}
.path .gap{list-style:none;color:var(--dim)}
.path small{display:inline}
)css";
}

std::string_view page_script() {
  return R"js(
(() => {
  const lanes = document.querySelector('.lanes');
  if (!lanes) return;
  const scroll = lanes.parentElement, told = document.querySelector('.hover');
  let zoom = 1;
  const set = (factor, at) => {
    const next = Math.min(64, Math.max(1, zoom * factor));
    const place = (scroll.scrollLeft + at) / zoom;
    zoom = next;
    lanes.style.width = 100 * zoom + '%';
    scroll.scrollLeft = place * zoom - at;
  };
  for (const button of document.querySelectorAll('[data-zoom]'))
    button.addEventListener('click', () => set(+button.dataset.zoom, scroll.clientWidth / 2));
  scroll.addEventListener('wheel', event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    set(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - scroll.getBoundingClientRect().left);
  }, {passive: false});
  const tell = event => {
    const group = event.target.closest('.lanes g');
    const title = group && group.querySelector('title');
    if (title) told.textContent = title.textContent;
  };
  lanes.addEventListener('pointerover', tell);
  lanes.addEventListener('click', tell);
})();
)js";
}

}  // namespace sluice::cli
