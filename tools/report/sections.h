#pragma once
// The parts of the page that hold still: each a section of tables and figures, empty where there is
// nothing for it.

#include <string>
#include <vector>

#include "tools/report/comparison.h"
#include "tools/report/findings.h"

namespace concord::report {

// The question, the answer in a sentence with the numbers, and cards: markup for the page's top.
std::string answer(Findings& findings, const std::vector<Comparison>& measured,
                   const std::vector<Comparison>& experiments);

Section variance_section(const std::vector<Comparison>& measured,
                         const std::vector<Comparison>& experiments);
Section suite_section(Findings& findings);  // tables of results.json, beside the paper's values
Section gates_section(const std::vector<Comparison>& measured,
                      const std::vector<Comparison>& experiments);
Section accuracy_section(Findings& findings, const std::vector<Comparison>& measured);
Section curves_section(Findings& findings);
Section diagnosis_section(Findings& findings);
Section compression_section(Findings& findings);
Section distillation_section(Findings& findings);
Section refinement_section(Findings& findings);
Section similarity_section(Findings& findings);
// Commands, versions and seeds of every run, and how far it is.
Section runs_section(Findings& findings);
// Damaged files, and what was left out.
Section damage_section(const Findings& findings);

}  // namespace concord::report
