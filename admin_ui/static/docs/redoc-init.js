"use strict";

const systemFont = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

Redoc.init(
  "/openapi.json",
  {
    nativeScrollbars: true,
    theme: {
      typography: {
        // ReDoc's own choice names fonts that a browser would have to fetch from elsewhere.
        fontFamily: systemFont,
        headings: { fontFamily: systemFont },
      },
    },
  },
  document.getElementById("docs"),
);
