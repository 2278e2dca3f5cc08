// OHIF's configuration: this archive and nothing else. The one OHIF ships points at a public demonstration server.
"use strict";

const logo = document.currentScript.dataset.logo;

window.config = {
  name: "leadglass",
  routerBasename: "/viewer",
  extensions: [],
  modes: [],
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showLoadingIndicator: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  // Messages may hold what the archive said about a patient; a browser's console is not the place for them.
  showErrorDetails: "production",
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  investigationalUseDialog: { option: "never" },
  whiteLabeling: {
    createLogoComponentFn: (React) =>
      React.createElement(
        "a",
        { href: "/studies", title: "Back to the studies", "aria-label": "Leadglass: back to the studies" },
        React.createElement("img", { src: logo, alt: "", width: 28, height: 28 }),
      ),
  },
  defaultDataSourceName: "leadglass",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "leadglass",
      configuration: {
        friendlyName: "Leadglass",
        name: "leadglass",
        wadoUriRoot: "/dicom-web",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        qidoSupportsIncludeField: true,
        supportsReject: false,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: "studies" },
      },
    },
  ],
  // A session that has timed out shows in the first answer with 401.
  httpErrorHandler: (error) => {
    if (error.status === 401) {
      const here = `${location.pathname}${location.search}`;
      location.assign(`/sign-in?next=${encodeURIComponent(here)}`);
    }
  },
};
