#pragma once
// The style sheet of the result page.

namespace concord::tool {

inline constexpr const char* kPageStyle = R"css(
:root { color-scheme: light dark;
  --paper: #fff; --ink: #20242a; --faint: #69707a; --line: #dfe2e7; --card: #f5f6f8;
  --o0: #2166ac; --o1: #4393c3; --o2: #92c5de; --o3: #c9deea; --delta: #d6604d; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --ink: #e6e8eb; --faint: #99a1ab; --line: #313740; --card: #1d2127;
  --o0: #4393c3; --o1: #74b0d5; --o2: #a6cde3; --o3: #d1e5f0; --delta: #e57b68; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 3rem) 3rem; max-width: 92rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; }
p { margin: 0 0 1rem; max-width: 46rem; }
.question { font-size: 1.12rem; color: var(--faint); }
.cards { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  margin: 1.4rem 0 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.card span { color: var(--faint); font-size: .9rem; overflow-wrap: anywhere; display: block; }
.stack { display: flex; height: 1.7rem; border-radius: .4rem; overflow: hidden; gap: 2px;
  margin: 0 0 1rem; background: var(--paper); }
.stack i { display: block; min-width: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem 1.1rem .35rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; font-weight: 400; }
th { color: var(--faint); font-size: .9rem; }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: var(--faint); padding-left: 1.35rem; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: .2em; margin-right: .5em; }
article { border-top: 1px solid var(--line); padding: 1rem 0 1.2rem; }
.head { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; align-items: baseline;
  margin-bottom: .6rem; }
.head b { font-weight: 600; } .head span { color: var(--faint); font-size: .9rem;
  overflow-wrap: anywhere; }
.maps { display: grid; gap: .7rem; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
@media (max-width: 60rem) { .maps { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
@media (max-width: 34rem) { .maps { gap: .5rem; } figcaption small { font-size: .72rem; } }
figure { margin: 0; min-width: 0; }
figure img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  border: 1px solid var(--line); border-radius: .25rem; background: var(--card); }
figure img.map { image-rendering: pixelated; }
.none { display: grid; place-items: center; color: var(--faint); font-size: .8rem; }
figcaption { font-size: .9rem; line-height: 1.3; padding-top: .35rem; }
figcaption small { display: block; color: var(--faint); font-size: .8rem; }
.scale { display: flex; align-items: center; gap: .6rem; margin-top: .8rem; font-size: .85rem;
  color: var(--faint); font-variant-numeric: tabular-nums; }
.scale i { flex: 0 1 16rem; height: .7rem; border-radius: .2rem; border: 1px solid var(--line);
  background: linear-gradient(90deg, #053061, #2166ac, #4393c3, #92c5de, #d1e5f0, #fff, #fddbc7,
    #f4a582, #d6604d, #b2182b, #67001f); }
.gates { display: grid; grid-template-columns: max-content minmax(4rem, 18rem) max-content;
  gap: .4rem .9rem; align-items: center; font-variant-numeric: tabular-nums; }
.gates i { display: block; height: .9rem; border-radius: .2rem; background: var(--card);
  border: 1px solid var(--line); overflow: hidden; }
.gates i::before { content: ""; display: block; height: 100%; width: var(--part);
  background: var(--o1); }
footer { margin-top: 2.4rem; color: var(--faint); font-size: .9rem; }
)css";

}  // namespace concord::tool
