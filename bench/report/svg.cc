#include "bench/report/svg.h"

#include <fmt/format.h>

#include <array>

namespace tarn::bench {
namespace {

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string PointList(const Svg::Points& points) {
  std::string out;
  for (const auto& [x, y] : points) out += fmt::format("{:.1f},{:.1f} ", x, y);
  return out;
}

}  // namespace

void Svg::Rect(double x, double y, double width, double height, const std::string& fill) {
  body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x, y,
                       width, height, fill);
}

void Svg::Line(double x1, double y1, double x2, double y2, const std::string& colour, double thickness) {
  body_ += fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{}\"/>\n", x1, y1,
      x2, y2, colour, thickness);
}

void Svg::Curve(const Points& points, const std::string& colour) {
  body_ += fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>\n",
      PointList(points), colour);
}

void Svg::Area(const Points& points, const std::string& colour) {
  body_ += fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.18\"/>\n", PointList(points), colour);
}

void Svg::Text(double x, double y, const std::string& text, double size, const std::string& colour, Anchor anchor,
               bool bold) {
  constexpr std::array<const char*, 3> kAnchors = {"start", "middle", "end"};
  body_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, size,
      colour, kAnchors[static_cast<size_t>(anchor)], bold ? " font-weight=\"bold\"" : "", Escape(text));
}

std::string Svg::Finish(double height, const std::string& background) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
      "<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"{2}\"/>\n{3}</svg>\n",
      width_, height, background, body_);
}

}  // namespace tarn::bench
