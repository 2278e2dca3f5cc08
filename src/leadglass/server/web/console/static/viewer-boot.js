// What OHIF's own page does in inline scripts, which our Content-Security-Policy forbids.
"use strict";

window.PUBLIC_URL = "/viewer/";

window.browserImportFunction = (name) => import(name);

// The tour would cover the images of everybody who opens the viewer for the first time.
if (!localStorage.getItem("shownTours")) {
  localStorage.setItem("shownTours", JSON.stringify(["basicViewerTour"]));
}
