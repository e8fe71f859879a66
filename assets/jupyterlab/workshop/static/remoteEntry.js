// How JupyterLab, as `workshop.py lab` starts it, opens the workshop's files. Its setting "defaultViewers" shows Markdown
// as a page to read; a setting cannot tell folders apart, so this adds: what a learner writes in my_work/ opens as text
// (the copies that the code fills do not), and the pages in assets/ open in a browser tab of their own, because
// JupyterLab's viewer keeps nothing that they store. The menu "Workshop" and the launcher open these pages too.
// Written by hand as a federated extension, so that nothing has to be built.
(() => {
  const OWN = /^my_work\/(?!.*_filled(-\d+)?\.md$).*\.md$/;
  const PAGE = /^assets\/([\w-]+\.html)$/;
  let shared;

  const offer = (app, manager, launcher, menus, { Menu, runIcon, searchIcon }) => {
    const menu = new Menu({ commands: app.commands });
    menu.title.label = "Workshop";
    for (const [name, label, icon] of [["playground", "Playground", runIcon], ["clinic", "Clinic", searchIcon]]) {
      const command = `workshop:${name}`;
      app.commands.addCommand(command, { label, icon, execute: () => manager.openOrReveal(`assets/${name}.html`) });
      menu.addItem({ command });
      launcher.add({ command, category: "Workshop" });
    }
    menus.addMenu(menu, true, { rank: 900 });
  };

  const activate = (app, manager, launcher, menus, parts) => {
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
    offer(app, manager, launcher, menus, parts);
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.workshop = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const provided = async (name) => (await Object.values(shared[name])[0].get())();
      const { IDocumentManager } = await provided("@jupyterlab/docmanager");
      const { ILauncher } = await provided("@jupyterlab/launcher");
      const { IMainMenu } = await provided("@jupyterlab/mainmenu");
      const { Menu } = await provided("@lumino/widgets");
      const { runIcon, searchIcon } = await provided("@jupyterlab/ui-components");
      const plugin = {
        id: "workshop:files",
        autoStart: true,
        requires: [IDocumentManager, ILauncher, IMainMenu],
        activate: (app, manager, launcher, menus) => activate(app, manager, launcher, menus, { Menu, runIcon, searchIcon }),
      };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
