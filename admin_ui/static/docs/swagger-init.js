"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  // The badge would send the document to somebody else's server.
  validatorUrl: null,
});
