// Heights on a grid, the lines of equal height through them, and the shading between the lines.

/** Heights at the crossings of a grid: rows from top to bottom, `low` and `high` as [x, y] corners in weights. */
export function heightGrid(loss, low, high, columns, rows) {
  const heights = [];
  for (let row = 0; row < rows; row += 1) {
    const y = high[1] + ((low[1] - high[1]) * row) / (rows - 1);
    heights.push(
      Float64Array.from({ length: columns }, (_, column) => loss([low[0] + ((high[0] - low[0]) * column) / (columns - 1), y])),
    );
  }
  return heights;
}

/** Levels from `floor` up to the grid's top; `spread` 2 puts the rings of a round bowl at equal distances. */
export function contourLevels(heights, floor, spread, count) {
  const top = Math.max(...heights.map((row) => Math.max(...row)));
  return Array.from({ length: count }, (_, at) => floor + (top - floor) * ((at + 1) / (count + 1)) ** spread);
}

/** Path of the line at one level, by marching squares; the grid's crossings lie `size` pixels apart. */
export function contourPath(heights, level, size) {
  let path = "";
  for (let row = 0; row + 1 < heights.length; row += 1) {
    for (let column = 0; column + 1 < heights[row].length; column += 1) {
      const corners = [
        [column, row, heights[row][column]],
        [column + 1, row, heights[row][column + 1]],
        [column + 1, row + 1, heights[row + 1][column + 1]],
        [column, row + 1, heights[row + 1][column]],
      ];
      const crossings = [];
      corners.forEach(([x, y, here], side) => {
        const [nextX, nextY, next] = corners[(side + 1) % 4];
        if (here < level !== next < level) {
          const share = (level - here) / (next - here);
          crossings.push(`${((x + share * (nextX - x)) * size).toFixed(1)} ${((y + share * (nextY - y)) * size).toFixed(1)}`);
        }
      });
      for (let at = 0; at + 1 < crossings.length; at += 2) path += `M${crossings[at]}L${crossings[at + 1]}`;
    }
  }
  return path;
}

/** Colour an image by the band between two levels in which each pixel lies; `ramp` holds [red, green, blue] stops. */
export function shade(image, heights, levels, ramp) {
  const { width, height, data } = image;
  const [rows, columns] = [heights.length, heights[0].length];
  const colours = Array.from({ length: levels.length + 1 }, (_, band) => mixed(ramp, band / levels.length));
  for (let py = 0; py < height; py += 1) {
    const y = (py / (height - 1)) * (rows - 1);
    const top = Math.min(Math.floor(y), rows - 2);
    for (let px = 0; px < width; px += 1) {
      const x = (px / (width - 1)) * (columns - 1);
      const left = Math.min(Math.floor(x), columns - 2);
      const [a, b] = [x - left, y - top];
      const upper = heights[top][left] * (1 - a) + heights[top][left + 1] * a;
      const lower = heights[top + 1][left] * (1 - a) + heights[top + 1][left + 1] * a;
      const here = upper * (1 - b) + lower * b;
      let band = 0;
      while (band < levels.length && here >= levels[band]) band += 1;
      data.set(colours[band], 4 * (py * width + px));
    }
  }
}

function mixed(ramp, share) {
  const at = share * (ramp.length - 1);
  const stop = Math.min(Math.floor(at), ramp.length - 2);
  const colour = ramp[stop].map((from, channel) => Math.round(from + (at - stop) * (ramp[stop + 1][channel] - from)));
  return [...colour, 255];
}
