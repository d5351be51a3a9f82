// Svg: text of a picture, put together from a few shapes. Coordinates are pixels, y downwards.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tarn::bench {

enum class Anchor { kStart, kMiddle, kEnd };

class Svg {
 public:
  using Points = std::vector<std::pair<double, double>>;

  explicit Svg(double width) : width_(width) {}
  void Rect(double x, double y, double width, double height, const std::string& fill);
  void Line(double x1, double y1, double x2, double y2, const std::string& colour, double thickness = 1);
  void Curve(const Points& points, const std::string& colour);
  void Area(const Points& points, const std::string& colour);  // closed and half transparent
  void Text(double x, double y, const std::string& text, double size, const std::string& colour,
            Anchor anchor = Anchor::kStart, bool bold = false);
  // The whole picture, of this height, on a background of its own: it looks the same in dark and in light viewers.
  std::string Finish(double height, const std::string& background) const;

 private:
  double width_;
  std::string body_;
};

}  // namespace tarn::bench
