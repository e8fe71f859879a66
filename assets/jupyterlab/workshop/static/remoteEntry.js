// How JupyterLab, as `workshop.py lab` starts it, opens the workshop's files. Its setting "defaultViewers" shows Markdown
// as a page to read; a setting cannot tell folders apart, so this adds: what a learner writes in my_work/ opens as text
// (the copies that the code fills do not), and the pages in assets/ open in a browser tab of their own, because JupyterLab's viewer keeps nothing that they store.
// Written by hand as a federated extension, so that nothing has to be built.
(() => {
  const OWN = /^my_work\/(?!.*_filled(-\d+)?\.md$).*\.md$/;
  const PAGE = /^assets\/([\w-]+\.html)$/;
  let shared;

  const activate = (app, manager) => {
    const { registry } = manager;
    const usualFactory = registry.defaultWidgetFactory.bind(registry);
    registry.defaultWidgetFactory = (path) =>
      path && OWN.test(path) ? registry.getWidgetFactory("Editor") : usualFactory(path);

    const usualOpen = manager.openOrReveal.bind(manager);
    manager.openOrReveal = (path, ...rest) => {
      const page = PAGE.exec(path);
      // A browser that blocks the tab gets the usual viewer.
      const tab = page && window.open(`${app.serviceManager.serverSettings.baseUrl}static/${page[1]}`, "_blank");
      return tab ? undefined : usualOpen(path, ...rest);
    };
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.workshop = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const [provided] = Object.values(shared["@jupyterlab/docmanager"]);
      const { IDocumentManager } = (await provided.get())();
      const plugin = { id: "workshop:files", autoStart: true, requires: [IDocumentManager], activate };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
